//! What the checks came to: a diagnosis, for people and as JSON.

use serde::Serialize;

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is as it should be.
    Ok,
    /// It is not.
    Bad,
    /// It could not be found out.
    Unknown,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What it is about.
    pub group: &'static str,
    /// What was looked at.
    pub name: String,
    /// Whether watching is impossible without it.
    pub required: bool,
    /// What it came to.
    pub state: State,
    /// What was seen.
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    /// Something that is as it should be.
    pub fn ok(group: &'static str, name: &str, detail: impl Into<String>) -> Self {
        Self {
            group,
            name: name.to_owned(),
            required: false,
            state: State::Ok,
            detail: detail.into(),
            remedy: None,
        }
    }

    /// Something that is not.
    pub fn bad(
        group: &'static str,
        name: &str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self {
            state: State::Bad,
            remedy,
            ..Self::ok(group, name, detail)
        }
    }

    /// Something that could not be found out.
    pub fn unknown(group: &'static str, name: &str, detail: impl Into<String>) -> Self {
        Self {
            state: State::Unknown,
            ..Self::ok(group, name, detail)
        }
    }

    /// The same, needed for everything.
    pub fn required(self) -> Self {
        self.required_if(true)
    }

    /// The same, needed for everything or not.
    pub fn required_if(self, required: bool) -> Self {
        Self { required, ..self }
    }

    /// The same, and what to do about it.
    pub fn with_remedy(self, remedy: &str) -> Self {
        Self {
            remedy: Some(remedy.to_owned()),
            ..self
        }
    }
}

/// Everything that was found out.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// `uname -r`.
    pub release: String,
    /// `uname -v`.
    pub version: String,
    /// `uname -m`.
    pub machine: String,
    /// Whether `lastref watch` can work here.
    pub watchable: bool,
    /// Every check.
    pub checks: Vec<Check>,
}

impl Diagnosis {
    /// What `checks` come to.
    pub fn new(checks: Vec<Check>) -> Self {
        let names = rustix::system::uname();
        Self {
            release: names.release().to_string_lossy().into_owned(),
            version: names.version().to_string_lossy().into_owned(),
            machine: names.machine().to_string_lossy().into_owned(),
            watchable: !checks.iter().any(is_obstacle),
            checks,
        }
    }

    /// What makes watching impossible.
    pub fn obstacles(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| is_obstacle(check))
    }
}

fn is_obstacle(check: &Check) -> bool {
    check.required && check.state == State::Bad
}
