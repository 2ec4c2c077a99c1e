//! Sessions: one `lastref run` each, around work on one filesystem.

use anyhow::{Result, bail};

use super::filesystems::{FILESYSTEMS, Filesystem};

/// How `lastref` is to make the dentries' references vanish meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provoke {
    /// On the whole machine.
    DropCaches,
    /// In a memory cgroup of the work's own.
    Memory,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// What is worked on.
    pub filesystem: &'static Filesystem,
    /// Whether puts are provoked to be final, and how.
    pub provoke: Option<Provoke>,
}

impl Session {
    /// All sessions on a filesystem, without or with provoked ones. The one that is only watched is
    /// the last: it takes away what lies below the filesystem.
    pub fn all_on(filesystem: &'static Filesystem, provoke: bool) -> impl Iterator<Item = Self> {
        let provoked = if provoke { filesystem.provoked } else { &[] };
        let provoked = provoked.iter().copied().map(Some);
        provoked.chain([None]).map(move |provoke| Self {
            filesystem,
            provoke,
        })
    }

    /// The session of this name.
    pub fn named(name: &str) -> Result<Self> {
        let mut sessions = FILESYSTEMS.iter().flat_map(|one| Self::all_on(one, true));
        match sessions.find(|session| session.name() == name) {
            Some(session) => Ok(session),
            None => bail!("there is no session {name}"),
        }
    }

    /// Its name, also of its files.
    pub fn name(&self) -> String {
        let name = self.filesystem.name;
        match self.provoke {
            None => name.to_string(),
            Some(Provoke::DropCaches) => format!("{name}-drop-caches"),
            Some(Provoke::Memory) => format!("{name}-memory"),
        }
    }

    /// Options of `lastref run`.
    pub fn options(&self) -> &'static [&'static str] {
        match self.provoke {
            None => &["--level", "latent"],
            // A pass takes a second, and the work not many: with the usual duty there are too few.
            Some(Provoke::DropCaches) => &["--provoke=drop-caches", "--provoke-duty", "50"],
            Some(Provoke::Memory) => &["--provoke=memory", "--provoke-duty", "50"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_found_by_their_names() {
        let all: Vec<Session> = FILESYSTEMS
            .iter()
            .flat_map(|one| Session::all_on(one, true))
            .collect();
        assert!(all.iter().any(|session| session.provoke.is_some()));
        for session in all {
            let found = Session::named(&session.name()).unwrap();
            assert_eq!(found.filesystem.name, session.filesystem.name);
            assert_eq!(found.provoke, session.provoke);
        }
        assert!(Session::named("ext4-memory").is_err());
    }
}
