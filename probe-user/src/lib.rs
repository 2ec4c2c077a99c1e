//! Finds the places in a running Linux kernel where the last reference to an inode is
//! dropped where it must not: where eviction can deadlock, sleep in atomic context or
//! overrun the stack.
//!
//! Data flows one way: [`kernel`] says what the running kernel is, [`probe`] attaches the
//! kernel half and drains it, [`symbol`] names addresses, [`observe`] forms sites,
//! [`hazard`] judges them, [`report`] holds and renders the result.

pub mod hazard;
pub mod kernel;
pub mod observe;
pub mod probe;
pub mod report;
pub mod symbol;
