//! Calibration: what the observer itself adds to the context that it reads.
//!
//! Entering a BPF program raises the preempt count and the RCU nesting, by an amount that
//! depends on the attachment and the kernel. It is measured with a final put that the agent
//! makes itself, where nothing is held: closing a pipe drops the last reference to its
//! inode, from the thread's own way out of the system call (`task_work_run`).

use probe_common::{AddressRange, Baseline, Calibration, Control, Readings, UNKNOWN};

use super::{Probe, ProbeError};
use crate::report::model::Level;

/// Measures the baseline and starts recording. `text` is the kernel's own text.
///
/// # Errors
/// If the probes did not see the final put.
pub fn calibrate(
    probe: &mut Probe,
    level: Level,
    text: AddressRange,
) -> Result<Readings, ProbeError> {
    let thread = rustix::thread::gettid();
    let thread = u32::try_from(thread.as_raw_nonzero().get()).unwrap_or(0);
    probe.set_control(Control {
        calibrating_thread: thread,
        ..Control::default()
    })?;
    drop(std::io::pipe().map_err(ProbeError::Calibration)?);
    let seen = probe
        .calibration
        .get(&0, 0)
        .map_err(|source| ProbeError::Map {
            map: "CALIBRATION",
            source: Box::new(source),
        })?;
    check(&seen, level)?;
    probe.set_control(Control {
        baseline: baseline(&seen.readings),
        calibrating_thread: 0,
        recording: 1,
        own_frames_at_iput: own_frames(&seen.iput_frames, text),
        own_frames_at_evict: own_frames(&seen.evict_frames, text),
        evict_below_iput: seen
            .iput_stack_pointer
            .wrapping_sub(seen.evict_stack_pointer),
    })?;
    Ok(seen.readings)
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
    fn set_control(&mut self, control: Control) -> Result<(), ProbeError> {
        self.control
            .set(0, control, 0)
            .map_err(|source| ProbeError::Map {
                map: "CONTROL",
                source: Box::new(source),
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
}
