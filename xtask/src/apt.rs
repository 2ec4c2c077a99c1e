//! Debian's packages from suites that this machine does not use, without touching its own configuration.

use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::context::Context;
use crate::progress::{output_of, run_logged, step};

/// Debian's keys: packages of every suite are checked against them.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Package lists older than this are fetched again before a new version is looked for.
const FRESH: Duration = Duration::from_hours(24);

/// A package in a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// apt for the suites of one Debian release, with its own sources, lists and cache: a release that
/// leaves the mirrors takes no other with it.
#[derive(Debug)]
pub struct Apt<'a> {
    context: &'a Context,
    debian: &'a str,
    directory: PathBuf,
    suites: Vec<&'a str>,
    refreshed: Cell<bool>,
}

impl<'a> Apt<'a> {
    /// apt for the table's suites of a Debian release; nothing is fetched before something is asked.
    pub fn new(context: &'a Context, debian: &'a str) -> Self {
        Self {
            context,
            debian,
            directory: context.cache.join("apt").join(debian),
            suites: context.table.suites_of(debian),
            refreshed: Cell::new(false),
        }
    }

    /// Fetches the package lists unless they are fresh, at most once for each `Apt`.
    ///
    /// A suite that cannot be fetched is only warned of: what is looked for may be in another, or
    /// in the list fetched before, which apt keeps.
    pub fn refresh(&self, even_if_fresh: bool) -> Result<()> {
        if self.refreshed.get() {
            return Ok(());
        }
        let _lock = self.context.lock(&format!("apt-{}", self.debian))?;
        let sources = self.sources()?;
        let list = self.directory.join("sources.list");
        let stamp = self.directory.join("refreshed");
        let unchanged = fs::read_to_string(&list).is_ok_and(|text| text == sources);
        if !(unchanged && is_fresh(&stamp)) || even_if_fresh {
            for part in ["state/lists/partial", "cache/archives/partial"] {
                let directory = self.directory.join(part);
                fs::create_dir_all(&directory)
                    .with_context(|| format!("{} cannot be created", directory.display()))?;
            }
            fs::write(&list, sources)
                .with_context(|| format!("{} cannot be written", list.display()))?;
            let label = format!("package lists of {}", self.debian);
            let fetched = step(&label, || {
                run_logged(
                    &label,
                    // Without this a suite that cannot be reached is no error, and would count as fresh.
                    self.command("apt-get")
                        .args(["-oAPT::Update::Error-Mode=any", "update"]),
                    &self.directory.join("update.log"),
                )
            });
            match fetched {
                Ok(()) => fs::write(&stamp, "")
                    .with_context(|| format!("{} cannot be written", stamp.display()))?,
                Err(error) => {
                    eprintln!("    warning: going on with the lists there are: {error:#}");
                }
            }
        }
        self.refreshed.set(true);
        Ok(())
    }

    /// Names of all packages that start so.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        self.refresh(false)?;
        let names = output_of(self.command("apt-cache").args(["pkgnames", prefix]))?;
        Ok(names.lines().map(str::to_string).collect())
    }

    /// All versions of these packages that some suite has.
    pub fn versions(&self, names: &[String]) -> Result<Vec<Package>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.refresh(false)?;
        let rows = output_of(self.command("apt-cache").arg("madison").args(names))?;
        Ok(parse_madison(&rows))
    }

    /// The newest version of a package.
    pub fn newest(&self, name: &str) -> Result<Package> {
        newest(self.versions(&[name.to_string()])?)?
            .ok_or_else(|| anyhow!("no suite of {} has {name}", self.suites.join(", ")))
    }

    /// Downloads packages and unpacks them into `target`, installing nothing.
    pub fn unpack(&self, packages: &[Package], target: &Path) -> Result<()> {
        self.refresh(false)?;
        let archives = tempfile::Builder::new()
            .prefix("download-")
            .tempdir_in(&self.directory)
            .with_context(|| format!("{} cannot be written", self.directory.display()))?;
        let names: Vec<&str> = packages
            .iter()
            .map(|package| package.name.as_str())
            .collect();
        let label = format!("download {}", names.join(" "));
        run_logged(
            &label,
            self.command("apt-get")
                .arg("download")
                .args(packages.iter().map(|p| format!("{}={}", p.name, p.version)))
                .current_dir(archives.path()),
            &self.directory.join("download.log"),
        )?;
        let mut unpacked = 0;
        for entry in fs::read_dir(archives.path()).context("downloads cannot be listed")? {
            let archive = entry.context("downloads cannot be listed")?.path();
            if archive
                .extension()
                .is_some_and(|extension| extension == "deb")
            {
                run_logged(
                    &format!("unpack {}", archive.display()),
                    Command::new("dpkg-deb").arg("-x").arg(&archive).arg(target),
                    &self.directory.join("unpack.log"),
                )?;
                unpacked += 1;
            }
        }
        ensure!(
            unpacked == packages.len(),
            "{unpacked} of {} packages arrived: {}",
            packages.len(),
            names.join(" ")
        );
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        let directory = self.directory.display();
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").args([
            "-o".to_string(),
            format!("Dir::Etc::SourceList={directory}/sources.list"),
            "-oDir::Etc::SourceParts=/dev/null".to_string(),
            format!("-oDir::State={directory}/state"),
            format!("-oDir::Cache={directory}/cache"),
            // What this machine has installed is of no interest.
            "-oDir::State::status=/dev/null".to_string(),
            "-oAcquire::Languages=none".to_string(),
            "-oAcquire::Retries=3".to_string(),
            "-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_string(),
            // The cache may lie where apt's own user cannot look.
            "-oAPT::Sandbox::User=root".to_string(),
        ]);
        command
    }

    fn sources(&self) -> Result<String> {
        let mirrors = Mirrors::of_this_machine()?;
        let mut text = String::new();
        for suite in self.suites.iter().copied() {
            writeln!(
                text,
                "deb [signed-by={KEYRING}] {} {suite} main",
                mirrors.of(suite)
            )?;
        }
        Ok(text)
    }
}

/// Where this machine gets Debian from.
#[derive(Debug, PartialEq, Eq)]
pub struct Mirrors {
    /// The archive.
    pub main: String,
    security: String,
}

impl Mirrors {
    /// Reads the mirrors off apt's own view of the machine's sources.
    pub fn of_this_machine() -> Result<Self> {
        let targets = output_of(Command::new("apt-get").args([
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE) $(COMPONENT)",
            "Created-By: Packages",
        ]))?;
        Self::of_targets(&targets).ok_or_else(|| {
            anyhow!(
                "apt's sources name no Debian archive (a URI that ends in /debian, component main)"
            )
        })
    }

    fn of_targets(targets: &str) -> Option<Self> {
        let rows = || {
            targets.lines().filter_map(|line| {
                let mut words = line.split_whitespace();
                let (uri, suite) = (words.next()?.trim_end_matches('/'), words.next()?);
                (words.next() == Some("main")).then_some((uri, suite))
            })
        };
        let main = rows().find(|(uri, _)| uri.ends_with("/debian"))?.0;
        // Debian keeps the security archive beside the main one.
        let security = rows()
            .find(|(_, suite)| is_security(suite))
            .map_or_else(|| format!("{main}-security"), |(uri, _)| uri.to_string());
        Some(Self {
            main: main.to_string(),
            security,
        })
    }

    fn of(&self, suite: &str) -> &str {
        if is_security(suite) {
            &self.security
        } else {
            &self.main
        }
    }
}

fn is_security(suite: &str) -> bool {
    suite.ends_with("-security")
}

fn is_fresh(stamp: &Path) -> bool {
    fs::metadata(stamp)
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|time| {
            SystemTime::now()
                .duration_since(time)
                .is_ok_and(|age| age < FRESH)
        })
}

/// Rows of `apt-cache madison`: `name | version | source`.
fn parse_madison(rows: &str) -> Vec<Package> {
    rows.lines()
        .filter_map(|row| {
            let mut fields = row.split('|').map(str::trim);
            let (name, version) = (fields.next()?, fields.next()?);
            fields.next()?.ends_with("Packages").then(|| Package {
                name: name.to_string(),
                version: version.to_string(),
            })
        })
        .collect()
}

/// The package with the greatest version.
pub fn newest(packages: impl IntoIterator<Item = Package>) -> Result<Option<Package>> {
    let mut best: Option<Package> = None;
    for package in packages {
        let better = match &best {
            None => true,
            Some(best) => compare(&package.version, &best.version)? == Ordering::Greater,
        };
        if better {
            best = Some(package);
        }
    }
    Ok(best)
}

/// Compares two Debian versions as dpkg does, by asking it.
fn compare(left: &str, right: &str) -> Result<Ordering> {
    let holds = |relation| {
        Command::new("dpkg")
            .args(["--compare-versions", left, relation, right])
            .status()
            .map(|status| status.success())
            .context("dpkg cannot be started")
    };
    Ok(if holds("gt")? {
        Ordering::Greater
    } else if holds("eq")? {
        Ordering::Equal
    } else {
        Ordering::Less
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn madison_rows_are_read() {
        let rows = "\
linux-image-6.1.0-56-amd64 |  6.1.192-2 | http://mirror/debian-security bookworm-security/main amd64 Packages
linux-source | 7.3.4-1 | http://mirror/debian trixie-backports/main Sources
";
        assert_eq!(
            parse_madison(rows),
            [Package {
                name: "linux-image-6.1.0-56-amd64".to_string(),
                version: "6.1.192-2".to_string()
            }]
        );
    }

    #[test]
    fn mirrors_come_from_the_machines_sources() {
        let both =
            "http://m/debian/ bookworm main\nhttp://s/debian-security/ bookworm-security main\n";
        let mirrors = Mirrors::of_targets(both).unwrap();
        assert_eq!(mirrors.of("trixie-backports"), "http://m/debian");
        assert_eq!(mirrors.of("trixie-security"), "http://s/debian-security");

        let one = "https://other/ubuntu/ noble main\nhttp://m/debian bookworm main\n";
        let mirrors = Mirrors::of_targets(one).unwrap();
        assert_eq!(mirrors.of("trixie-security"), "http://m/debian-security");

        assert_eq!(Mirrors::of_targets("https://other/x/ y main\n"), None);
    }

    #[test]
    fn the_newest_version_is_dpkgs_idea_of_it() {
        let package = |version: &str| Package {
            name: "p".to_string(),
            version: version.to_string(),
        };
        let best = |versions: &[&str]| {
            newest(versions.iter().map(|version| package(version)))
                .unwrap()
                .map(|package| package.version)
        };
        assert_eq!(
            best(&["6.12.9-1", "6.12.117-1", "6.12.94-1"]).as_deref(),
            Some("6.12.117-1")
        );
        // A backport sorts before what it was made from.
        assert_eq!(
            best(&["6.12.117-1~bpo12+1", "6.12.117-1"]).as_deref(),
            Some("6.12.117-1")
        );
        assert_eq!(best(&[]), None);
    }
}
