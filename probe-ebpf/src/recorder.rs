//! Recording where the verifier does not follow.
//!
//! The verifier tracks the value of every register as exactly as it can. A set of facts in
//! a register has another value on each way through the program, and each is verified on
//! its own: with thirty facts it never ends. Memory of a map has no known value, so that
//! the ways join again after each fact. Hence the volatile accesses.

use core::ptr::{read_volatile, write_volatile};

use probe_common::{Fact, Facts};

/// Keeps `value` in the memory of a map, and gives it back as one of which the verifier
/// knows nothing.
#[inline(always)]
pub fn through_memory<T: Copy>(place: &mut T, value: T) -> T {
    let place = &raw mut *place;
    // SAFETY: a live place, of which this is the only reference.
    unsafe {
        write_volatile(place, value);
        read_volatile(place)
    }
}

/// Reads a value back from the memory of a map, as one of which the verifier knows nothing.
#[inline(always)]
pub fn reload<T: Copy>(place: &mut T) -> T {
    // SAFETY: a live place.
    unsafe { read_volatile(&raw const *place) }
}

/// Facts in the memory of a map.
#[derive(Clone, Copy)]
pub struct Recorder {
    place: *mut Facts,
}

impl Recorder {
    /// Starts with what is known of every final put.
    #[inline(always)]
    pub fn new(place: &'static mut Facts) -> Self {
        *place = Facts::OF_FINAL_PUT;
        Self { place }
    }

    /// Goes on with what was recorded before.
    #[inline(always)]
    pub fn resume(place: &'static mut Facts) -> Self {
        Self { place }
    }

    /// Records `fact` as *yes* or *no*.
    #[inline(always)]
    pub fn set(self, fact: Fact, yes: bool) {
        self.change(|facts| {
            facts.known |= fact.bit();
            facts.yes &= !fact.bit();
        });
        if yes {
            self.change(|facts| facts.yes |= fact.bit());
        }
    }

    /// Takes back what was recorded of `fact`.
    #[inline(always)]
    pub fn forget(self, fact: Fact) {
        self.change(|facts| facts.forget(fact));
    }

    /// Makes a fact that is not known a *no*.
    #[inline(always)]
    pub fn settle(self, fact: Fact) {
        self.change(|facts| facts.known |= fact.bit());
    }

    /// What is recorded so far.
    #[inline(always)]
    pub fn facts(self) -> Facts {
        // SAFETY: made from a reference that lives as long as the map.
        unsafe { read_volatile(self.place) }
    }

    #[inline(always)]
    fn change(self, change: impl FnOnce(&mut Facts)) {
        let mut facts = self.facts();
        change(&mut facts);
        // SAFETY: as above.
        unsafe { write_volatile(self.place, facts) };
    }
}
