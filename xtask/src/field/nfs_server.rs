//! The kernel's NFS server without its daemons: what they would answer is written into its caches.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};

use crate::progress::output_of;

const CONTROL: &str = "/proc/fs/nfsd";
const CACHES: &str = "/proc/net/rpc";
/// The name that the server's only client goes by.
const CLIENT: &str = "field";
/// `NFSEXP_INSECURE_PORT`, `NFSEXP_NOSUBTREECHECK` and `NFSEXP_FSID`; root stays root
/// (include/uapi/linux/nfsd/export.h).
const FLAGS: u32 = 0x2 | 0x400 | 0x2000;
const THREADS: u32 = 4;
/// The shortest that the kernel takes (fs/nfsd/nfsctl.c, `write_gracetime()`). Until it is over,
/// clients may only reclaim what they had.
const GRACE: Duration = Duration::from_secs(10);
const CACHE_LIFETIME: Duration = Duration::from_hours(1);

/// A running server with one export.
#[derive(Debug)]
pub struct Server {
    started: Instant,
}

impl Server {
    /// Exports `directory` as the root of version 4.
    pub fn start(directory: &Path) -> Result<Self> {
        if !Path::new(CONTROL).join("threads").exists() {
            output_of(Command::new("mount").args(["-t", "nfsd", "nfsd", CONTROL]))
                .context("the NFS server's control files cannot be mounted")?;
        }
        let control = |file: &str, text: &str| write(&Path::new(CONTROL).join(file), text);
        control("nfsv4gracetime", &GRACE.as_secs().to_string())?;
        control("nfsv4leasetime", &GRACE.as_secs().to_string())?;
        control("versions", "-3 +4 +4.1 +4.2")?;
        let end = now()?.saturating_add(CACHE_LIFETIME.as_secs());
        let path = directory.display();
        for (cache, entry) in [
            ("auth.unix.ip", format!("nfsd 127.0.0.1 {end} {CLIENT}")),
            (
                "nfsd.export",
                format!("{CLIENT} {path} {end} {FLAGS} 65534 65534 0"),
            ),
            // File handles of type FSID_NUM with number 0: the root (fs/nfsd/nfsfh.h).
            ("nfsd.fh", format!("{CLIENT} 1 \\x00000000 {end} {path}")),
        ] {
            write(&Path::new(CACHES).join(cache).join("channel"), &entry)?;
        }
        control("portlist", "tcp 2049")?;
        control("threads", &THREADS.to_string())?;
        Ok(Self {
            started: Instant::now(),
        })
    }

    /// Waits until clients may open files.
    pub fn wait_for_grace(&self) {
        // The laundromat that ends it comes by when it is over.
        let end = GRACE.saturating_add(Duration::from_secs(2));
        thread::sleep(end.saturating_sub(self.started.elapsed()));
    }
}

/// Stops a server, also one that another process started, so that what it exported can be unmounted.
pub fn stop() -> Result<()> {
    write(&Path::new(CONTROL).join("threads"), "0")?;
    // Entries from before the present second are dropped (net/sunrpc/cache.c, write_flush()).
    let flush = now()?.saturating_add(1).to_string();
    for cache in ["nfsd.fh", "nfsd.export", "auth.unix.gid", "auth.unix.ip"] {
        write(&Path::new(CACHES).join(cache).join("flush"), &flush)?;
    }
    Ok(())
}

fn now() -> Result<u64> {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .context("the clock is before 1970")?;
    ensure!(since.as_secs() > 0, "the clock is not set");
    Ok(since.as_secs())
}

fn write(path: &Path, text: &str) -> Result<()> {
    // A line without its end is refused (fs/nfsd/nfsctl.c, __write_versions()).
    fs::write(path, format!("{text}\n"))
        .with_context(|| format!("{} cannot be set to {text}", path.display()))
}
