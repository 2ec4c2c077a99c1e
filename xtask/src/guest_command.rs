//! The command of a guest: a script that runs it and leaves its status in a file.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// The files of one command, in a directory that the guest can write to.
#[derive(Debug)]
pub struct GuestCommand {
    /// The directory that the guest can write to.
    pub shared: PathBuf,
    /// What the guest runs.
    pub script: PathBuf,
    /// Where the kernel's console goes.
    pub console: PathBuf,
    began: PathBuf,
    status: PathBuf,
}

impl GuestCommand {
    /// Writes the script for a command that is to run in the current directory.
    pub fn prepare(directory: &Path, command: &[OsString]) -> Result<Self> {
        ensure!(!command.is_empty(), "there is no command to run");
        let shared = directory.join("shared");
        fs::create_dir(&shared)
            .with_context(|| format!("{} cannot be created", shared.display()))?;
        let run = Self {
            script: shared.join("command"),
            began: shared.join("began"),
            status: shared.join("status"),
            console: directory.join("console"),
            shared,
        };
        let current = std::env::current_dir().context("the current directory cannot be read")?;
        fs::write(&run.script, script(command, &current, &run))
            .with_context(|| format!("{} cannot be written", run.script.display()))?;
        Ok(run)
    }

    /// Whether the guest has come to the command.
    pub fn began(&self) -> bool {
        self.began.exists()
    }

    /// The command's status, once it has ended.
    pub fn status(&self) -> Option<i32> {
        fs::read_to_string(&self.status).ok()?.trim().parse().ok()
    }
}

/// The status goes into a file as well: it must arrive even if the guest cannot shut down.
fn script(command: &[OsString], directory: &Path, run: &GuestCommand) -> Vec<u8> {
    let words: Vec<Vec<u8>> = command.iter().map(|word| quote(word)).collect();
    let status = quote(run.status.as_os_str());
    [
        b": > ".as_slice(),
        &quote(run.began.as_os_str()),
        b"\ncd ",
        &quote(directory.as_os_str()),
        b" || exit\n",
        &words.join(&b' '),
        b"\nstatus=$?\necho $status > ",
        &status,
        b".new\nmv ",
        &status,
        b".new ",
        &status,
        b"\nexit $status\n",
    ]
    .concat()
}

fn quote(word: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_script_keeps_words_whole_and_reports_their_status() {
        let directory = tempfile::tempdir().unwrap();
        let words: Vec<OsString> = ["sh", "-c", "echo \"it's $1\"; exit 7", "x", "a  b;c"]
            .map(OsString::from)
            .to_vec();
        let run = GuestCommand::prepare(directory.path(), &words).unwrap();
        assert!(!run.began());
        let output = Command::new("sh").arg(&run.script).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "it's a  b;c\n");
        assert_eq!(output.status.code(), Some(7));
        assert!(run.began());
        assert_eq!(run.status(), Some(7));
    }
}
