//! Where things are: the checkout, and the cache that holds all that is downloaded or built outside it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

use crate::table::{KernelSpec, Table};

/// Moves the cache.
const CACHE_VARIABLE: &str = "LASTREF_CACHE";

/// The checkout, its kernel table and the cache.
#[derive(Debug)]
pub struct Context {
    /// The checkout: the directory with `kernels.toml`.
    pub root: PathBuf,
    /// `$LASTREF_CACHE`, else `$XDG_CACHE_HOME/lastref`, else `~/.cache/lastref`.
    pub cache: PathBuf,
    /// `kernels.toml`.
    pub table: Table,
}

impl Context {
    /// Finds the checkout from the current directory upwards, and the cache.
    pub fn find() -> Result<Self> {
        let current = env::current_dir().context("the current directory cannot be read")?;
        let root = current
            .ancestors()
            .find(|directory| directory.join("kernels.toml").is_file())
            .ok_or_else(|| {
                anyhow!(
                    "no kernels.toml in {} or above: run this inside the checkout",
                    current.display()
                )
            })?
            .to_path_buf();
        let cache = cache_directory()?;
        fs::create_dir_all(&cache)
            .with_context(|| format!("the cache {} cannot be created", cache.display()))?;
        let table = Table::read(&root.join("kernels.toml"))?;
        Ok(Self { root, cache, table })
    }

    /// The kernels to work on: those named, or all.
    pub fn kernels(&self, names: &[String]) -> Result<Vec<&KernelSpec>> {
        if names.is_empty() {
            return Ok(self.table.kernels.iter().collect());
        }
        names.iter().map(|name| self.table.kernel(name)).collect()
    }

    /// Waits until no other process works on `what`; the lock ends with the returned file.
    pub fn lock(&self, what: &str) -> Result<File> {
        let directory = self.cache.join("locks");
        fs::create_dir_all(&directory)
            .with_context(|| format!("{} cannot be created", directory.display()))?;
        let path = directory.join(what);
        let file =
            File::create(&path).with_context(|| format!("{} cannot be opened", path.display()))?;
        file.lock()
            .with_context(|| format!("{} cannot be locked", path.display()))?;
        Ok(file)
    }

    /// A command that runs in the checkout with the cache that we use, should it ask for it: Cargo,
    /// whose build scripts run elsewhere again, or this program.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        // To set it where it was not would make Cargo build anew what a build by hand has built.
        match set(CACHE_VARIABLE) {
            Some(_) => command.env(CACHE_VARIABLE, &self.cache),
            None => command.env_remove(CACHE_VARIABLE),
        };
        command
    }

    /// Where Cargo puts what it builds, if it runs in the checkout.
    pub fn target(&self) -> PathBuf {
        self.root
            .join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
    }

    /// Where `bpf-linker` and virtme-ng are installed.
    pub fn tools(&self) -> PathBuf {
        self.cache.join("tools")
    }
}

/// A variable that is set to something.
fn set(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn cache_directory() -> Result<PathBuf> {
    let directory = set(CACHE_VARIABLE)
        .map(PathBuf::from)
        .or_else(|| set("XDG_CACHE_HOME").map(|base| Path::new(&base).join("lastref")))
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache/lastref")))
        .ok_or_else(|| anyhow!("set LASTREF_CACHE or HOME: there is no place for the cache"))?;
    std::path::absolute(&directory)
        .with_context(|| format!("{} is not a usable path", directory.display()))
}

/// A directory that is `target` once [`Staged::commit`] was called, and gone if it never is.
#[derive(Debug)]
pub struct Staged {
    directory: tempfile::TempDir,
    target: PathBuf,
}

impl Staged {
    /// Starts an empty directory beside `target`.
    pub fn beside(target: &Path) -> Result<Self> {
        let parent = target
            .parent()
            .ok_or_else(|| anyhow!("{} has no parent directory", target.display()))?;
        fs::create_dir_all(parent)
            .with_context(|| format!("{} cannot be created", parent.display()))?;
        let directory = tempfile::Builder::new()
            .prefix(".partial-")
            .tempdir_in(parent)
            .with_context(|| format!("no directory can be created in {}", parent.display()))?;
        // A toolchain is a root file system: other users than root must be able to enter it.
        set_mode(directory.path(), 0o755)?;
        Ok(Self {
            directory,
            target: target.to_path_buf(),
        })
    }

    /// The directory to fill.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Puts the directory in `target`'s place: complete or not at all.
    pub fn commit(self) -> Result<()> {
        if self.target.exists() {
            fs::remove_dir_all(&self.target)
                .with_context(|| format!("{} cannot be removed", self.target.display()))?;
        }
        let path = self.directory.keep();
        fs::rename(&path, &self.target).with_context(|| {
            format!(
                "{} cannot be renamed to {}",
                path.display(),
                self.target.display()
            )
        })
    }
}

/// An empty directory at `path`, whatever was there.
pub fn fresh_directory(path: &Path) -> Result<PathBuf> {
    if path.exists() {
        fs::remove_dir_all(path)
            .with_context(|| format!("{} cannot be removed", path.display()))?;
    }
    fs::create_dir_all(path).with_context(|| format!("{} cannot be created", path.display()))?;
    fs::canonicalize(path).with_context(|| format!("{} cannot be found", path.display()))
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("the mode of {} cannot be set", path.display()))
}
