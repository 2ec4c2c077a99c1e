//! Whether KVM can run a guest here: found out by running one, never from /dev/kvm being there.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::children::{self, Signal};
use crate::context::Context;
use crate::kernels::Kernel;
use crate::progress::read_lossy;

/// A kernel prints its first line at once under KVM.
const TRIAL: Duration = Duration::from_secs(20);
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Tries it once for each boot of this machine.
pub fn works(context: &Context, kernel: &Kernel) -> Result<bool> {
    if !Path::new("/dev/kvm").exists() {
        return Ok(false);
    }
    let boot = fs::read_to_string(BOOT_ID).with_context(|| format!("{BOOT_ID} cannot be read"))?;
    let _lock = context.lock("kvm")?;
    let answer = context.cache.join("kvm");
    if let Ok(text) = fs::read_to_string(&answer)
        && let Some(known) = remembered(&text, boot.trim())
    {
        return Ok(known);
    }
    let works = trial(context, kernel)?;
    eprintln!(
        "  KVM: {}",
        if works {
            "works"
        } else {
            "does not run a guest here, emulation does"
        }
    );
    fs::write(&answer, format!("{} {works}\n", boot.trim()))
        .with_context(|| format!("{} cannot be written", answer.display()))?;
    Ok(works)
}

fn remembered(text: &str, boot: &str) -> Option<bool> {
    let (then, works) = text.trim().split_once(' ')?;
    (then == boot).then(|| works.parse().ok()).flatten()
}

/// Boots the kernel without a root file system: all that counts is that it speaks.
fn trial(context: &Context, kernel: &Kernel) -> Result<bool> {
    let directory = tempfile::tempdir_in(&context.cache)
        .with_context(|| format!("{} cannot be written", context.cache.display()))?;
    let console = directory.path().join("console");
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-machine", "q35,accel=kvm", "-cpu", "host", "-m", "256M"])
        .args(["-nodefaults", "-display", "none", "-no-reboot", "-serial"])
        .arg(format!("file:{}", console.display()))
        .arg("-kernel")
        .arg(kernel.image())
        .args(["-append", "console=ttyS0 earlyprintk=ttyS0 panic=-1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut guest = children::spawn(&mut command, Signal::KILL)
        .context("qemu-system-x86_64 cannot be started")?;
    let start = Instant::now();
    let mut spoke = false;
    while !spoke && start.elapsed() < TRIAL && guest.try_wait()?.is_none() {
        spoke = read_lossy(&console).contains("Linux version");
        std::thread::sleep(Duration::from_millis(100));
    }
    spoke |= read_lossy(&console).contains("Linux version");
    guest.kill();
    Ok(spoke)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_its_boot_only() {
        assert_eq!(remembered("abc true\n", "abc"), Some(true));
        assert_eq!(remembered("abc false\n", "abc"), Some(false));
        assert_eq!(remembered("abc true\n", "def"), None);
        assert_eq!(remembered("", "def"), None);
    }
}
