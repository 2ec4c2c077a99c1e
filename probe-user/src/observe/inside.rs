//! Which of the puts that a thread was seen to begin it is still inside of: what its later ones
//! say, and what its stack shows.

use probe_common::{Fact, InFlight, InFlightKey, Mark, MarkKind};

use crate::symbol::thread_stack;

/// How far apart the stack pointers of two functions may be that are called from the same place:
/// a trampoline says where it has put the arguments, the more of them the deeper. Less than the
/// frames that lie between a put and what is watched inside of it.
const SLACK: u64 = 16;

/// What the kernel half remembers of one thread.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    /// Final puts on their way to `evict`.
    pub puts: Vec<(InFlightKey, InFlight)>,
    /// The functions that it is inside of, outermost first.
    pub marks: Vec<Mark>,
}

/// What the thread's stack shows to be under way.
#[derive(Debug, Default)]
pub struct Inside {
    /// Evictions by puts, each with how many lines its call takes from the stack's innermost on.
    pub evictions: Vec<(Mark, usize)>,
    /// Puts that have not reached `evict`.
    pub puts: Vec<InFlight>,
}

/// When a function was entered, how deep on the stack.
#[derive(Clone, Copy)]
struct Entered {
    at_ns: u64,
    stack_pointer: u64,
}

impl Entered {
    /// Whether it has returned before `later` was entered. The stack grows down: what it calls
    /// lies deeper.
    const fn is_over_by(self, later: Self) -> bool {
        later.at_ns > self.at_ns && later.stack_pointer.saturating_add(SLACK) >= self.stack_pointer
    }
}

impl From<&InFlight> for Entered {
    fn from(put: &InFlight) -> Self {
        Self {
            at_ns: put.entered_ns,
            stack_pointer: put.stack_pointer,
        }
    }
}

impl From<&Mark> for Entered {
    fn from(mark: &Mark) -> Self {
        Self {
            at_ns: mark.entered_ns,
            stack_pointer: mark.stack_pointer,
        }
    }
}

impl Thread {
    /// Drops what must be over, for the thread has entered something else since, no deeper on its
    /// stack. Returns the puts among it.
    pub fn drop_over(&mut self) -> Vec<(InFlightKey, InFlight)> {
        let witnesses = self.witnesses();
        let is_over = |entered: Entered| {
            let later = witnesses.partition_point(|witness| witness.at_ns <= entered.at_ns);
            witnesses
                .get(later)
                .is_some_and(|outermost| entered.is_over_by(*outermost))
        };
        self.marks.retain(|mark| !is_over(mark.into()));
        let (over, left) = std::mem::take(&mut self.puts)
            .into_iter()
            .partition(|(_, put)| is_over(put.into()));
        self.puts = left;
        over
    }

    /// What was entered, by time, each with the outermost depth that was entered from then on. An
    /// interrupt is no witness: it comes upon the task anywhere, and has another stack.
    fn witnesses(&self) -> Vec<Entered> {
        let puts = self
            .puts
            .iter()
            .map(|(_, put)| put)
            .filter(|put| {
                !put.key
                    .facts
                    .any(&[Fact::Hardirq, Fact::Softirq, Fact::Nmi])
            })
            .map(Entered::from);
        let mut witnesses: Vec<Entered> =
            puts.chain(self.marks.iter().map(Entered::from)).collect();
        witnesses.sort_unstable_by_key(|entered| entered.at_ns);
        let mut outermost = 0;
        for entered in witnesses.iter_mut().rev() {
            outermost = entered.stack_pointer.max(outermost);
            entered.stack_pointer = outermost;
        }
        witnesses
    }

    /// The evictions by puts, outermost first.
    pub fn evictions(&self) -> impl Iterator<Item = &Mark> {
        self.marks
            .iter()
            .filter(|mark| mark.kind == MarkKind::Eviction as u32)
    }

    /// What the stack shows of it. An eviction is there only if there is a call of `evict` for each
    /// that lies further in, and one more; a put, if there is a call of `iput` for each later one,
    /// and one more. Calls of `iput` that have reached an eviction that is known are not counted.
    pub fn inside(&self, stack: &[String]) -> Inside {
        let evicts = thread_stack::calls_of(stack, "evict");
        let known = self.marks.iter().rev().filter(|mark| {
            [MarkKind::Eviction as u32, MarkKind::OtherEviction as u32].contains(&mark.kind)
        });
        let evictions = known
            .clone()
            .zip(&evicts)
            .filter(|(mark, _)| mark.kind == MarkKind::Eviction as u32)
            .map(|(mark, call)| (*mark, call.end))
            .collect();
        let iputs = thread_stack::calls_of(stack, "iput");
        let have_reached = iputs
            .iter()
            .filter(|call| thread_stack::called_by(stack, call.start) == Some("evict"))
            .count()
            .min(known.count());
        let mut puts: Vec<InFlight> = self.puts.iter().map(|(_, put)| *put).collect();
        puts.sort_unstable_by_key(|put| std::cmp::Reverse(put.entered_ns));
        puts.truncate(iputs.len() - have_reached);
        Inside { evictions, puts }
    }
}

#[cfg(test)]
mod tests {
    use probe_common::{Facts, SiteKey};

    use super::*;

    fn put(ino: u64, entered_ns: u64, stack_pointer: u64) -> (InFlightKey, InFlight) {
        let key = InFlightKey {
            inode: ino,
            ..InFlightKey::default()
        };
        let put = InFlight {
            key: SiteKey::default(),
            ino,
            entered_ns,
            stack_pointer,
            device: 0,
            reserved: 0,
        };
        (key, put)
    }

    fn mark(kind: MarkKind, ino: u64, entered_ns: u64, stack_pointer: u64) -> Mark {
        Mark {
            key: SiteKey::default(),
            stack_pointer,
            inode: ino,
            ino,
            entered_ns,
            voluntary_switches: 0,
            kind: kind as u32,
            device: 0,
        }
    }

    fn stack(functions: &[&str]) -> Vec<String> {
        functions
            .iter()
            .map(|function| format!("{function}+0x10/0x90"))
            .collect()
    }

    fn inos(inside: &Inside) -> (Vec<u64>, Vec<u64>) {
        (
            inside.evictions.iter().map(|(mark, _)| mark.ino).collect(),
            inside.puts.iter().map(|put| put.ino).collect(),
        )
    }

    #[test]
    fn what_was_entered_no_deeper_proves_a_put_over() {
        let over = |puts: &[(InFlightKey, InFlight)], marks: &[Mark]| {
            let mut thread = Thread {
                puts: puts.to_vec(),
                marks: marks.to_vec(),
            };
            let over: Vec<u64> = thread.drop_over().iter().map(|(_, put)| put.ino).collect();
            assert_eq!(thread.puts.len() + over.len(), puts.len());
            over
        };
        let first = put(1, 10, 0x8000);
        assert!(over(&[first], &[]).is_empty());
        assert_eq!(over(&[first, put(2, 20, 0x8000)], &[]), [1]);
        assert_eq!(over(&[first, put(2, 20, 0x9000)], &[]), [1]);
        assert!(over(&[first, put(2, 20, 0x7000)], &[]).is_empty());
        assert!(over(&[put(2, 5, 0x9000), first], &[]).is_empty());
        let writes = mark(MarkKind::Writepages, 3, 20, 0x8000 - 16);
        assert_eq!(over(&[first], &[writes]), [1]);
        let deeper = mark(MarkKind::Eviction, 3, 20, 0x8000 - 80);
        assert!(over(&[first], &[deeper]).is_empty());
        let mut interrupt = put(4, 20, 0x9000);
        let mut facts = Facts::default();
        facts.set(Fact::Softirq, true);
        interrupt.1.key.facts = facts;
        assert!(over(&[first, interrupt], &[]).is_empty());
    }

    #[test]
    fn a_put_proves_a_mark_over() {
        let mut thread = Thread {
            puts: vec![put(2, 20, 0x8000)],
            marks: vec![
                mark(MarkKind::Flusher, 0, 5, 0x9000),
                mark(MarkKind::Eviction, 1, 10, 0x8000 - 24),
            ],
        };
        assert!(thread.drop_over().is_empty());
        assert_eq!(thread.marks.len(), 1);
        assert_eq!(thread.evictions().count(), 0);
    }

    #[test]
    fn puts_that_were_kept_are_not_in_the_eviction_of_another() {
        // 5.10: iput calls evict out of line.
        let thread = Thread {
            puts: vec![put(1, 10, 0x7000), put(2, 20, 0x6f00)],
            marks: vec![mark(MarkKind::Eviction, 3, 30, 0x6000)],
        };
        let shown = stack(&["schedule", "evict", "iput", "dput", "close"]);
        assert_eq!(inos(&thread.inside(&shown)), (vec![3], vec![]));
        let unknown = Thread {
            marks: Vec::new(),
            ..thread
        };
        assert_eq!(inos(&unknown.inside(&shown)), (vec![], vec![2]));
    }

    #[test]
    fn there_are_no_more_puts_than_calls_and_the_newest_are_believed() {
        let thread = Thread {
            puts: vec![put(1, 10, 0x7000), put(2, 30, 0x5000), put(3, 20, 0x6000)],
            marks: Vec::new(),
        };
        let one = stack(&["schedule", "write_inode_now", "iput", "close"]);
        assert_eq!(inos(&thread.inside(&one)), (vec![], vec![2]));
        let two = stack(&["write_inode_now", "iput", "dput", "iput", "close"]);
        assert_eq!(inos(&thread.inside(&two)), (vec![], vec![2, 3]));
        assert_eq!(inos(&thread.inside(&stack(&["do_wait"]))), (vec![], vec![]));
    }

    #[test]
    fn an_eviction_further_in_is_no_proof_of_one_further_out() {
        let mut thread = Thread {
            puts: Vec::new(),
            marks: vec![
                mark(MarkKind::Eviction, 1, 10, 0x8000),
                mark(MarkKind::OtherEviction, 2, 20, 0x7000),
            ],
        };
        let one = stack(&["schedule", "evict", "prune_icache_sb"]);
        assert_eq!(inos(&thread.inside(&one)), (vec![], vec![]));
        let two = stack(&["schedule", "evict", "prune_icache_sb", "evict", "close"]);
        let inside = thread.inside(&two);
        assert_eq!(inos(&inside), (vec![1], vec![]));
        assert_eq!(inside.evictions[0].1, 4);
        thread.marks[1].kind = MarkKind::Eviction as u32;
        assert_eq!(inos(&thread.inside(&one)), (vec![2], vec![]));
    }
}
