//! A session of watching, from attached probes to a report.
//!
//! Data flows one way: the maps are drained, new stacks symbolized, sites formed, each
//! context judged, and all put into one report. Every drain yields a whole report, so that
//! nothing collected is lost when the end comes early.

mod baseline;
mod calls;
mod cost;
mod held_locks;
mod inside;
mod options;
mod session;
mod sites;
mod stuck;
mod timeline;
mod totals;

pub use baseline::Baseline;
pub use options::{ObserveError, SessionOptions};
pub use session::Session;
