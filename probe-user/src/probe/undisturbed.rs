//! Reading maps without being preempted.
//!
//! While a task is in a system call on a map, the kernel runs no programs of kprobes on its CPU
//! (`bpf_disable_instrumentation()`, include/linux/bpf.h, 7.3). Where tasks are preempted in the
//! kernel, that CPU stays deaf for as long as others run there meanwhile. A task with a real-time
//! policy makes no way for those without one (sched(7)).

use std::mem::MaybeUninit;

/// The scheduling policy of a thread, and its priority under it.
#[derive(Clone, Copy)]
struct Policy {
    policy: libc::c_int,
    param: libc::sched_param,
}

impl Policy {
    /// The calling thread's.
    fn of_this_thread() -> Option<Self> {
        let mut param = MaybeUninit::uninit();
        // SAFETY: 0 is the calling thread; the destination is as large as the call expects.
        let (policy, failed) = unsafe {
            (
                libc::sched_getscheduler(0),
                libc::sched_getparam(0, param.as_mut_ptr()),
            )
        };
        (policy >= 0 && failed == 0).then(|| Self {
            policy,
            // SAFETY: the call has succeeded and filled it in.
            param: unsafe { param.assume_init() },
        })
    }

    /// The least of the real-time ones.
    fn real_time() -> Self {
        Self {
            policy: libc::SCHED_FIFO,
            param: libc::sched_param { sched_priority: 1 },
        }
    }

    /// Whether it makes way for real-time ones.
    fn is_ordinary(self) -> bool {
        [libc::SCHED_OTHER, libc::SCHED_BATCH, libc::SCHED_IDLE].contains(&self.policy)
    }

    /// Makes it the calling thread's; a thread that may not keeps its own.
    fn set(self) -> bool {
        // SAFETY: 0 is the calling thread; the parameter lives as long as the call.
        unsafe { libc::sched_setscheduler(0, self.policy, &raw const self.param) == 0 }
    }
}

/// As long as it lives, the thread that made it is not preempted by others without a real-time
/// policy, if it may ask for that (`CAP_SYS_NICE`).
pub struct Undisturbed {
    before: Option<Policy>,
}

impl Undisturbed {
    /// From now on, where kernel code is `preemptible`; elsewhere, and for a thread that has a
    /// real-time policy already, nothing is to be done.
    pub fn new(preemptible: bool) -> Self {
        let before = preemptible.then(Policy::of_this_thread).flatten();
        Self {
            before: before.filter(|before| before.is_ordinary() && Policy::real_time().set()),
        }
    }
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            before.set();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_what_it_was() {
        let before = Policy::of_this_thread().unwrap();
        let undisturbed = Undisturbed::new(true);
        let meanwhile = Policy::of_this_thread().unwrap();
        let allowed = undisturbed.before.is_some();
        assert_eq!(meanwhile.policy == libc::SCHED_FIFO, allowed);
        drop(undisturbed);
        let after = Policy::of_this_thread().unwrap();
        assert_eq!(after.policy, before.policy);
        assert_eq!(after.param.sched_priority, before.param.sched_priority);
        assert!(Undisturbed::new(false).before.is_none());
    }
}
