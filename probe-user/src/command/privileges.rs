//! What the agent gives up once the probes are attached: every capability that it needs no more,
//! and the way to new ones. docs/privileges.md has the same for who runs it.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use lastref::observe::Session;
use rustix::{
    fs::{Access, AtFlags, CWD, accessat},
    io::Errno,
    process::geteuid,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set,
        set_capabilities, set_no_new_privs,
    },
};

/// `S_ISVTX`: in such a directory only its owner, and a file's, may replace the file.
const STICKY: u32 = 0o1000;

/// What decides which capabilities are still needed.
#[derive(Clone, Copy, Debug)]
struct Needs {
    /// Maps cannot be read without any.
    maps: bool,
    /// A file that is to be written cannot be without any.
    files: bool,
    /// There is a command, to be ended at the end.
    command: bool,
}

/// Capabilities that belong together, and when they are still needed.
struct Kept {
    set: CapabilitySet,
    needed: fn(Needs) -> bool,
}

/// What is kept after the probes are attached; all others are given up.
const KEPT: &[Kept] = &[
    // /proc/PID/stack of stuck threads: it asks for the first (`proc_pid_stack()`), whether the
    // thread may be traced for the second (`lock_trace()`, both fs/proc/base.c), and its mode 0400
    // for the third.
    Kept {
        set: CapabilitySet::SYS_ADMIN
            .union(CapabilitySet::SYS_PTRACE)
            .union(CapabilitySet::DAC_READ_SEARCH),
        needed: |_| true,
    },
    // /proc/modules and /proc/kallsyms, when modules are loaded later.
    Kept {
        set: CapabilitySet::SYSLOG,
        needed: |_| true,
    },
    // To read maps without being preempted: else a CPU may miss calls meanwhile.
    Kept {
        set: CapabilitySet::SYS_NICE,
        needed: |_| true,
    },
    // `__sys_bpf()` (kernel/bpf/syscall.c) asks for it even for maps that are open, before 5.19
    // where kernel.unprivileged_bpf_disabled is set.
    Kept {
        set: CapabilitySet::BPF,
        needed: |needs| needs.maps,
    },
    // A report in a directory of the user who called sudo, a terminal of theirs.
    Kept {
        set: CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::FOWNER),
        needed: |needs| needs.files,
    },
    // The command may have become another user.
    Kept {
        set: CapabilitySet::KILL,
        needed: |needs| needs.command,
    },
];

/// Gives up what is needed no more, on this thread and the runtime's one worker; threads that they
/// start have no more. A process that was started before keeps what it has. `written` is written
/// from now on, `has_command` says whether there is one to be ended.
///
/// # Errors
/// If the kernel refuses; the capabilities are still those of before.
pub async fn give_up(session: &Session, written: &[PathBuf], has_command: bool) -> Result<()> {
    let needs = needs(session, written, has_command);
    let given_up = match needs {
        Ok(needs) => {
            let kept = kept(needs);
            // Only the worker runs what is spawned: this thread is the one that waits for it.
            let worker = tokio::spawn(async move { keep_only(kept) }).await?;
            worker.and_then(|()| keep_only(kept))
        }
        Err(error) => Err(error),
    };
    given_up.context("cannot give up capabilities that are needed no more")
}

/// Finds out what is needed by trying it without capabilities.
fn needs(session: &Session, written: &[PathBuf], command: bool) -> io::Result<Needs> {
    let held = capabilities(None)?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        ..held
    };
    set_capabilities(None, none)?;
    let needs = Needs {
        maps: !session.can_be_read(),
        files: !written.iter().all(|path| is_writable(path)),
        command,
    };
    set_capabilities(None, held)?;
    Ok(needs)
}

/// Whether `lastref::report::file` could write this file with what the thread has now.
fn is_writable(path: &Path) -> bool {
    let allows =
        |path: &Path, access| accessat(CWD, path, access, AtFlags::EACCESS) != Err(Errno::ACCESS);
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let found = fs::metadata(&real);
    match &found {
        Ok(metadata) if !metadata.is_file() => return allows(&real, Access::WRITE_OK),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return false,
        _ => {}
    }
    let directory = match real.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return false,
    };
    let is_own = |owner: u32| owner == geteuid().as_raw();
    let is_replaceable = match (&found, fs::metadata(directory)) {
        (Ok(file), Ok(directory)) => {
            directory.mode() & STICKY == 0 || is_own(directory.uid()) || is_own(file.uid())
        }
        _ => true,
    };
    is_replaceable && allows(directory, Access::WRITE_OK | Access::EXEC_OK)
}

fn kept(needs: Needs) -> CapabilitySet {
    KEPT.iter()
        .filter(|kept| (kept.needed)(needs))
        .fold(CapabilitySet::empty(), |all, kept| all | kept.set)
}

/// Leaves the calling thread with at most `kept`, and without a way to more.
///
/// # Errors
/// If the kernel refuses.
pub fn keep_only(kept: CapabilitySet) -> io::Result<()> {
    // A program that is executed gets no more than this one has, whatever its file says.
    set_no_new_privs(true)?;
    empty_bounding_set();
    let held = capabilities(None)?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: held.effective & kept,
            permitted: held.permitted & kept,
            // The ambient set goes with it (`cap_capset()`, security/commoncap.c).
            inheritable: CapabilitySet::empty(),
        },
    )?;
    Ok(())
}

/// It takes `CAP_SETPCAP`; without it, no new privileges is as good.
fn empty_bounding_set() {
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if remove_capability_from_bounding_set(capability).is_err() {
            // No permission, or the kernel has no more.
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const NOTHING: Needs = Needs {
        maps: false,
        files: false,
        command: false,
    };

    #[test]
    fn no_more_is_kept_than_is_needed() {
        let always = CapabilitySet::SYS_ADMIN
            | CapabilitySet::SYS_PTRACE
            | CapabilitySet::DAC_READ_SEARCH
            | CapabilitySet::SYSLOG
            | CapabilitySet::SYS_NICE;
        let maps = Needs {
            maps: true,
            ..NOTHING
        };
        let files = Needs {
            files: true,
            ..NOTHING
        };
        let command = Needs {
            command: true,
            ..NOTHING
        };
        assert_eq!(kept(NOTHING), always);
        assert_eq!(kept(maps) - always, CapabilitySet::BPF);
        assert_eq!(
            kept(files) - always,
            CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER
        );
        assert_eq!(kept(command) - always, CapabilitySet::KILL);
    }

    #[test]
    fn a_thread_that_keeps_nothing_has_nothing() {
        let before = capabilities(None).unwrap();
        // A thread of its own: what it gives up, it gives up for good.
        let (status, command) = thread::spawn(|| {
            keep_only(CapabilitySet::empty()).unwrap();
            let status = fs::read_to_string("/proc/thread-self/status").unwrap();
            let command = std::process::Command::new("cat")
                .arg("/proc/self/status")
                .output()
                .unwrap();
            (status, String::from_utf8(command.stdout).unwrap())
        })
        .join()
        .unwrap();
        for status in [status, command] {
            let value = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap().trim().to_owned()
            };
            for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
                assert_eq!(value(set), "0000000000000000", "{set}");
            }
            assert_eq!(value("NoNewPrivs:"), "1");
        }
        assert_eq!(capabilities(None).unwrap(), before);
    }

    #[test]
    fn files_are_writable_without_capabilities_where_they_are_ones_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("there"), "").unwrap();
        let writable = [path("there"), path("new"), "/dev/null".into()];
        let closed = path("closed");
        fs::create_dir(&closed).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o500);
        fs::set_permissions(&closed, mode).unwrap();
        thread::spawn(move || {
            keep_only(CapabilitySet::empty()).unwrap();
            for path in &writable {
                assert!(is_writable(path), "{}", path.display());
            }
            assert!(!is_writable(&closed.join("new")));
        })
        .join()
        .unwrap();
    }
}
