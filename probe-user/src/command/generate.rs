//! `lastref generate`: writes man pages and completions, from the definitions that `--help` shows.

mod man;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ValueEnum;
use clap_complete::Shell;

const NAME: &str = "lastref";

/// Shells that are completed for.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Write man pages or completions for shells.
#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// What to write.
    what: What,
    /// Where to: a directory; it is created if need be.
    directory: PathBuf,
}

/// What can be written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// lastref.1, and a page for every subcommand
    Man,
    /// lastref.bash, _lastref for zsh, lastref.fish
    Completions,
}

impl GenerateArgs {
    /// Writes the files, in place of those that are there.
    ///
    /// # Errors
    ///
    /// When one cannot be written.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let directory = &self.directory;
        fs::create_dir_all(directory)
            .and_then(|()| match self.what {
                What::Man => man::write(directory),
                What::Completions => completions(directory),
            })
            .with_context(|| {
                format!(
                    "cannot write to {}; name a directory that you may write to",
                    directory.display()
                )
            })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn completions(directory: &Path) -> std::io::Result<()> {
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut visible(), NAME, directory)?;
    }
    Ok(())
}

/// The command line without what is hidden: `clap_complete` would offer that, too.
fn visible() -> clap::Command {
    let all = super::definition();
    let subcommands = all.get_subcommands().filter(|one| !one.is_hide_set());
    clap::Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .args(all.get_arguments())
        .subcommands(subcommands)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Each shell, its file, and how to have it read a file without running it.
    const READERS: [(&str, &str, &[&str]); 3] = [
        ("bash", "lastref.bash", &["-n"]),
        ("zsh", "_lastref", &["-n"]),
        ("fish", "lastref.fish", &["--no-execute"]),
    ];

    #[test]
    fn shells_can_read_their_completions() {
        let directory = tempfile::tempdir().unwrap();
        completions(directory.path()).unwrap();
        let definition = crate::command::definition();
        for (shell, file, arguments) in READERS {
            let path = directory.path().join(file);
            let text = fs::read_to_string(&path).unwrap();
            for command in definition
                .get_subcommands()
                .filter(|one| !one.is_hide_set())
            {
                assert!(
                    text.contains(command.get_name()),
                    "{shell}: {}",
                    command.get_name()
                );
            }
            assert!(text.contains("stuck-after"), "{shell}");
            assert!(text.contains("version"), "{shell}");
            let hidden = crate::command::provoke::SUBCOMMAND;
            assert!(!text.contains(hidden), "{shell} offers {hidden}");
            match Command::new(shell).args(arguments).arg(&path).output() {
                Ok(output) => assert!(output.status.success(), "{shell}: {output:?}"),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{shell}"),
            }
        }
    }
}
