//! The report's words for suppressions: the entries of `--suppress`, and what they excused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An entry of `--suppress`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suppression {
    /// Where it stands, as `file:line`.
    pub place: String,
    /// The rules that it excuses, as a glob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// A function that must be in the stack, as a glob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
    /// The filesystem types that it is limited to, as a glob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<String>,
    /// The kernel releases that it is limited to, as a glob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The last day on which it excuses anything, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Why.
    pub reason: String,
    /// What came of it.
    pub state: SuppressionState,
    /// At how many sites it excused something.
    pub sites: u64,
}

/// What came of an entry of `--suppress`.
#[derive(
    Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord,
)]
#[serde(rename_all = "kebab-case")]
pub enum SuppressionState {
    /// It excused something.
    Used,
    /// There was nothing for it to excuse.
    Unused,
    /// It is for other kernels.
    OtherKernel,
    /// It is over.
    Expired,
}
