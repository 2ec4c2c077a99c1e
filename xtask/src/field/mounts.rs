//! Making, mounting and unmounting the filesystems inside the guest.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use super::filesystems::{Backing, Filesystem, LOWER, named};
use super::nfs_server;
use crate::progress::output_of;

/// Where all of it is, in memory.
const BASE: &str = "/run/lastref-field";
/// How long an unmount may be refused.
const UNMOUNT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(2);
const MIB: u64 = 1 << 20;

/// A mounted filesystem.
#[derive(Debug)]
pub struct Mounted {
    filesystem: &'static Filesystem,
    /// Where it is.
    pub directory: PathBuf,
    /// Where `mount` was told to find it.
    source: String,
    options: String,
    /// A directory below it that holds files before it is mounted.
    pub seeds: Option<PathBuf>,
    /// Where the server has its files.
    pub served: Option<PathBuf>,
}

/// Prepares the place for everything.
pub fn prepare() -> Result<()> {
    fs::create_dir_all(BASE).with_context(|| format!("{BASE} cannot be created"))?;
    // `mount` looks for the devices that it makes.
    output_of(Command::new("modprobe").arg("loop"))?;
    // Sparse images: only what is written to them takes memory.
    mount_at("tmpfs", "tmpfs", "size=1200m", Path::new(BASE))
}

/// Makes what the filesystem lies on, if it has to be made before anything is mounted.
pub fn make(filesystem: &Filesystem) -> Result<()> {
    if let Backing::Loop { mib, format } = &filesystem.backing {
        format_image(&image_of(filesystem.name), *mib, format)?;
    } else if matches!(filesystem.backing, Backing::Layers | Backing::Server) {
        let lower = lower()?;
        let Backing::Loop { mib, format } = &lower.backing else {
            bail!("{LOWER} cannot lie below {}", filesystem.name);
        };
        format_image(&image_of(filesystem.name), *mib, format)?;
    }
    Ok(())
}

/// Mounts what lies below the filesystem: all of it that is not to be unmounted under load.
pub fn mount_lower(filesystem: &Filesystem) -> Result<Option<PathBuf>> {
    if !matches!(filesystem.backing, Backing::Layers | Backing::Server) {
        return Ok(None);
    }
    let directory = lower_directory(filesystem);
    fs::create_dir_all(&directory)
        .with_context(|| format!("{} cannot be created", directory.display()))?;
    let image = image_of(filesystem.name);
    mount_at(lower()?.kind, &text(&image)?, "loop", &directory)?;
    Ok(Some(directory))
}

/// Takes that away again.
pub fn unmount_lower(filesystem: &Filesystem) -> Result<()> {
    if matches!(filesystem.backing, Backing::Server) {
        nfs_server::stop()?;
    }
    if matches!(filesystem.backing, Backing::Layers | Backing::Server) {
        unmount_when_idle(&lower_directory(filesystem), UNMOUNT)?;
    }
    Ok(())
}

impl Mounted {
    /// Mounts it. `shared` is the host's directory that a filesystem of the host is mounted from.
    pub fn mount(filesystem: &'static Filesystem, shared: &Path) -> Result<Self> {
        let directory = Path::new(BASE).join(filesystem.name);
        fs::create_dir_all(&directory)
            .with_context(|| format!("{} cannot be created", directory.display()))?;
        let mut options = filesystem.options.to_string();
        let mut seeds = None;
        let mut served = None;
        let source = match &filesystem.backing {
            Backing::Loop { .. } => {
                options.push_str(",loop");
                text(&image_of(filesystem.name))?
            }
            Backing::Memory => filesystem.kind.to_string(),
            Backing::Layers => {
                let below = lower_directory(filesystem);
                for part in ["lower", "upper", "work"] {
                    let path = below.join(part);
                    fs::create_dir_all(&path)
                        .with_context(|| format!("{} cannot be created", path.display()))?;
                    write!(options, ",{part}dir={}", text(&path)?)?;
                }
                seeds = Some(below.join("lower"));
                filesystem.kind.to_string()
            }
            Backing::Host => host_tag(shared)?,
            Backing::Server => {
                served = Some(lower_directory(filesystem));
                "127.0.0.1:/".to_string()
            }
        };
        Ok(Self {
            filesystem,
            directory,
            source,
            options,
            seeds,
            served,
        })
    }

    /// Mounts it where it was.
    pub fn attach(&self) -> Result<()> {
        mount_at(
            self.filesystem.kind,
            &self.source,
            &self.options,
            &self.directory,
        )
    }

    /// Changes its options while it is mounted.
    pub fn remount(&self, options: &str) -> Result<()> {
        output_of(
            Command::new("mount")
                .args(["-i", "-o", &format!("remount,{options}")])
                .arg(&self.directory),
        )
        .map(drop)
        .with_context(|| format!("it cannot be remounted with {options}"))
    }

    /// Whether what is written to it is there when it is mounted again.
    pub fn outlives_its_mount(&self) -> bool {
        !matches!(self.filesystem.backing, Backing::Memory)
    }

    /// Unmounts it, trying for as long as others use it; says how often it was refused.
    pub fn detach(&self) -> Result<u64> {
        unmount_when_idle(&self.directory, UNMOUNT)
    }
}

fn lower() -> Result<&'static Filesystem> {
    named(&[LOWER])?
        .first()
        .copied()
        .ok_or_else(|| anyhow!("there is no {LOWER}"))
}

fn lower_directory(filesystem: &Filesystem) -> PathBuf {
    Path::new(BASE).join(format!("below-{}", filesystem.name))
}

fn image_of(name: &str) -> PathBuf {
    Path::new(BASE).join(format!("{name}.image"))
}

fn format_image(image: &Path, mib: u64, format: &[&str]) -> Result<()> {
    File::create(image)
        .and_then(|file| file.set_len(mib * MIB))
        .with_context(|| format!("{} cannot be created", image.display()))?;
    let (program, arguments) = format
        .split_first()
        .ok_or_else(|| anyhow!("there is no program that formats {}", image.display()))?;
    output_of(Command::new(program).args(arguments).arg(image)).map(drop)
}

/// The tag of the 9p device that `shared` was mounted from when the guest booted; the device can be
/// mounted once only, so that mount goes.
fn host_tag(shared: &Path) -> Result<String> {
    let mounts = fs::read_to_string("/proc/mounts").context("the mounts cannot be read")?;
    let wanted = text(shared)?;
    let tag = tag_of(&mounts, &wanted)
        .ok_or_else(|| anyhow!("{wanted} is not mounted in the guest"))?
        .to_string();
    unmount_when_idle(shared, UNMOUNT)?;
    Ok(tag)
}

fn tag_of<'a>(mounts: &'a str, directory: &str) -> Option<&'a str> {
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (source, place, kind) = (words.next()?, words.next()?, words.next()?);
        (place == directory && kind == "9p").then_some(source)
    })
}

fn mount_at(kind: &str, source: &str, options: &str, directory: &Path) -> Result<()> {
    output_of(
        Command::new("mount")
            // Without helpers: that of NFS wants daemons.
            .args(["-i", "-t", kind, "-o", options, source])
            .arg(directory),
    )
    .map(drop)
    .with_context(|| format!("{kind} cannot be mounted"))
}

fn unmount_when_idle(directory: &Path, limit: Duration) -> Result<u64> {
    let start = Instant::now();
    let mut refused = 0;
    loop {
        match unmount(directory, UnmountFlags::empty()) {
            Ok(()) => return Ok(refused),
            Err(Errno::BUSY) if start.elapsed() < limit => refused += 1,
            Err(error) => {
                return Err(error).with_context(|| {
                    format!(
                        "{} cannot be unmounted, tried {} times",
                        directory.display(),
                        refused + 1
                    )
                });
            }
        }
        thread::sleep(POLL);
    }
}

fn text(path: &Path) -> Result<String> {
    path.to_str()
        .map(str::to_string)
        .ok_or_else(|| anyhow!("{} is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::tag_of;

    #[test]
    fn the_tag_of_a_shared_directory_is_its_source() {
        let mounts = "/dev/root / 9p ro,trans=virtio 0 0\n\
                      virtme.initmount0 /a/shared 9p rw,trans=virtio 0 0\n\
                      none /b tmpfs rw 0 0\n";
        assert_eq!(tag_of(mounts, "/a/shared"), Some("virtme.initmount0"));
        assert_eq!(tag_of(mounts, "/b"), None);
        assert_eq!(tag_of(mounts, "/c"), None);
    }
}
