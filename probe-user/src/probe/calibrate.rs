//! Calibration: what the observer itself adds to the context that it reads.
//!
//! Entering a BPF program raises the preempt count and the RCU nesting, by an amount that
//! depends on the attachment and the kernel. It is measured with a final put that the agent
//! makes itself, where nothing is held: closing a pipe drops the last reference to its
//! inode, from the thread's own way out of the system call (`task_work_run`).

use probe_common::{AddressRange, Baseline, Calibration, Control, KernelLayout, Readings, UNKNOWN};

use super::{Probe, ProbeError};
use crate::{kernel::layout::Resolved, report::model::Level};

/// How often a final put is made until the programs have seen all of it. On a busy host the kernel
/// may have none of a kretprobe's few instances left for its end (`pre_handler_kretprobe()`,
/// kernel/kprobes.c), or skip a program for another that runs.
const ATTEMPTS: u32 = 50;

/// Measures the baseline and starts recording.
///
/// # Errors
/// If the probes did not see the final put, or see every put as if it were an interrupt's.
pub fn calibrate(
    probe: &mut Probe,
    level: Level,
    kernel: &Resolved,
) -> Result<Readings, ProbeError> {
    let thread = rustix::thread::gettid();
    let thread = u32::try_from(thread.as_raw_nonzero().get()).unwrap_or(0);
    probe.set_control(Control {
        calibrating_thread: thread,
        ..Control::default()
    })?;
    let mut seen = put_and_see(probe)?;
    for _ in 1..ATTEMPTS {
        if check(&seen, level).is_ok() {
            break;
        }
        seen = put_and_see(probe)?;
    }
    check(&seen, level)?;
    check_context(&seen.readings, &kernel.layout)?;
    probe.set_control(Control {
        baseline: baseline(&seen.readings),
        recording: 1,
        own_frames_at_iput: own_frames(&seen.iput_frames, kernel.text),
        own_frames_at_evict: own_frames(&seen.evict_frames, kernel.text),
        evict_below_iput: seen
            .iput_stack_pointer
            .wrapping_sub(seen.evict_stack_pointer),
        ..Control::default()
    })?;
    Ok(seen.readings)
}

/// Makes a final put; returns what the programs have seen of it and of those before it.
fn put_and_see(probe: &Probe) -> Result<Calibration, ProbeError> {
    drop(std::io::pipe().map_err(ProbeError::Calibration)?);
    probe
        .calibration
        .get(&0, 0)
        .map_err(|source| ProbeError::Map {
            map: "CALIBRATION",
            cause: Box::new(source),
        })
}

fn check(seen: &Calibration, level: Level) -> Result<(), ProbeError> {
    let silent = |what: &str| Err(ProbeError::Silent(what.to_owned()));
    if level != Level::Evictions && seen.puts == 0 {
        silent("no call of iput")
    } else if seen.evictions == 0 {
        silent("no call of evict")
    } else if seen.ended == 0 {
        silent("no end of evict")
    } else {
        Ok(())
    }
}

/// A kprobe without ftrace is a breakpoint, whose exception counts as an NMI and a hard interrupt
/// (`irqentry_nmi_enter()`, kernel/entry/common.c): every task would look interrupted.
fn check_context(readings: &Readings, layout: &KernelLayout) -> Result<(), ProbeError> {
    let interrupts = layout.hardirq_mask | layout.nmi_mask;
    let count = readings.preempt_count;
    if count != UNKNOWN && u64::from(count) & interrupts != 0 {
        return Err(ProbeError::Breakpoints);
    }
    Ok(())
}

/// How many of a stack's innermost frames are the observer's own: programs and trampolines
/// lie outside of the kernel's text, and what closed the pipe lies in it.
fn own_frames(frames: &[u64], text: AddressRange) -> u32 {
    let own = frames
        .iter()
        .take_while(|frame| !text.contains(**frame))
        .count();
    // All of them: then there was no stack, and none is to be left out.
    if own == frames.len() {
        0
    } else {
        u32::try_from(own).unwrap_or(0)
    }
}

/// In a clean context every reading is the observer's.
fn baseline(readings: &Readings) -> Baseline {
    let added = |reading| if reading == UNKNOWN { 0 } else { reading };
    Baseline {
        preempt_count: added(readings.preempt_count),
        rcu_nesting: added(readings.rcu_nesting),
        interrupts_off: added(readings.interrupts_off),
        held_locks: added(readings.held_locks),
    }
}

impl Probe {
    /// Tells the kernel half which thread shrinks the dentry cache for `--provoke`, if one does.
    ///
    /// # Errors
    /// If its map cannot be written.
    pub fn set_provoker(&mut self, thread: Option<u32>) -> Result<(), ProbeError> {
        let control = self.control.get(&0, 0).map_err(|source| ProbeError::Map {
            map: "CONTROL",
            cause: Box::new(source),
        })?;
        self.set_control(Control {
            provoking_thread: thread.unwrap_or(0),
            ..control
        })
    }

    fn set_control(&mut self, control: Control) -> Result<(), ProbeError> {
        self.control
            .set(0, control, 0)
            .map_err(|source| ProbeError::Map {
                map: "CONTROL",
                cause: Box::new(source),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_readings_add_nothing() {
        let readings = Readings {
            preempt_count: 1,
            rcu_nesting: UNKNOWN,
            interrupts_off: 0,
            held_locks: 2,
        };
        let baseline = baseline(&readings);
        assert_eq!((baseline.preempt_count, baseline.rcu_nesting), (1, 0));
        assert_eq!(baseline.held_locks, 2);
    }

    #[test]
    fn frames_outside_of_the_kernel_are_the_observers() {
        let text = AddressRange {
            start: 0x1000,
            end: 0x2000,
        };
        assert_eq!(own_frames(&[0x9000, 0x9100, 0x1010, 0x9200], text), 2);
        assert_eq!(own_frames(&[0x1010, 0x1020], text), 0);
        assert_eq!(own_frames(&[0, 0], text), 0);
    }

    #[test]
    fn a_probe_that_sees_nothing_is_an_error() {
        let mut seen = Calibration {
            puts: 1,
            evictions: 1,
            ended: 1,
            ..Calibration::default()
        };
        assert!(check(&seen, Level::Final).is_ok());
        seen.puts = 0;
        assert!(check(&seen, Level::Final).is_err());
        assert!(check(&seen, Level::Evictions).is_ok());
        seen.ended = 0;
        assert!(check(&seen, Level::Evictions).is_err());
    }

    #[test]
    fn kprobes_that_are_breakpoints_are_refused() {
        let layout = KernelLayout {
            hardirq_mask: 0xf_0000,
            nmi_mask: 0xf0_0000,
            ..KernelLayout::unknown()
        };
        let at = |preempt_count| {
            let readings = Readings {
                preempt_count,
                rcu_nesting: 0,
                interrupts_off: 0,
                held_locks: 0,
            };
            check_context(&readings, &layout)
        };
        assert!(at(0x2).is_ok());
        assert!(at(UNKNOWN).is_ok());
        assert!(matches!(at(0x11_0001), Err(ProbeError::Breakpoints)));
    }
}
