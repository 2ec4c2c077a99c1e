//! What the host tells the guest, and what it hears of it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::workload::Done;

/// What the guest is to do.
#[derive(Debug, Deserialize, Serialize)]
pub struct Plan {
    /// The `lastref` binary.
    pub lastref: PathBuf,
    /// Where all results go.
    pub output: PathBuf,
    /// A directory of the host that the guest has by a 9p mount of its own.
    pub shared: PathBuf,
    /// The filesystems, by name, in order.
    pub filesystems: Vec<String>,
    /// Whether final puts are provoked, too.
    pub provoke: bool,
}

/// What became of one session inside the guest.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Ran {
    /// Its name.
    pub name: String,
    /// What went wrong around the workload: `lastref`, the time limit.
    pub problems: Vec<String>,
    /// What the workload has done, if it came to its end.
    pub done: Option<Done>,
    /// From start to end, in seconds.
    pub seconds: f64,
}

impl Plan {
    /// Where the results are listed.
    pub fn results(&self) -> PathBuf {
        self.output.join("results.json")
    }

    /// Where a session's report is.
    pub fn report(&self, name: &str) -> PathBuf {
        self.output.join(format!("{name}.json"))
    }

    /// Where a session's workload leaves what it has done.
    pub fn done(&self, name: &str) -> PathBuf {
        self.output.join(format!("{name}.done.json"))
    }
}
