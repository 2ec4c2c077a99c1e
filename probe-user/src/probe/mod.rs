//! The probes: loaded, attached, calibrated and read. Nothing is judged here.

mod calibrate;
mod cost;
mod drain;
mod load;
mod lock_functions;
mod object;
mod programs;
mod undisturbed;

use thiserror::Error;

pub use self::{
    calibrate::calibrate,
    drain::Snapshot,
    load::{LoadOptions, Probe},
    lock_functions::LockFunction,
    programs::{ATTACH_POINTS, AttachPoint},
};

/// What can go wrong with the probes.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The object as a whole was refused.
    #[error("cannot load the kernel half: {0}; `lastref doctor` says what this kernel lacks")]
    Object(#[source] Box<aya::EbpfError>),
    /// The verifier refused a program.
    #[error("the kernel refused the program `{program}`: {cause}")]
    Refused {
        /// The program.
        program: &'static str,
        /// The kernel's words, the verifier's log included.
        cause: String,
    },
    /// A program was loaded but could not be attached.
    #[error("cannot attach `{program}` to `{function}`: {cause}")]
    NotAttached {
        /// The program.
        program: &'static str,
        /// The kernel's function.
        function: &'static str,
        /// The kernel's words.
        cause: String,
    },
    /// The object lacks something that the agent expects; the two halves do not match.
    #[error("the kernel half has no {0}; agent and kernel half were not built together")]
    Mismatch(&'static str),
    /// A map could not be read or written.
    #[error("cannot access the map {map}: {cause}")]
    Map {
        /// The map.
        map: &'static str,
        /// Why not.
        cause: Box<aya::maps::MapError>,
    },
    /// The final put that the agent made itself was not seen.
    #[error(
        "the probes are attached, but did not see a final put that lastref made itself ({0}); \
         kprobes may be switched off (/sys/kernel/debug/kprobes/enabled), or another tool \
         may block them"
    )]
    Silent(String),
    /// The programs run in the context of an exception.
    #[error(
        "kprobes are breakpoints on this kernel, and what they come upon looks like an interrupt; \
         lastref needs kprobes that go through ftrace: a kernel with CONFIG_FUNCTION_TRACER=y and \
         CONFIG_DYNAMIC_FTRACE=y, and so CONFIG_KPROBES_ON_FTRACE=y"
    )]
    Breakpoints,
    /// The kernel does not count what programs cost.
    #[error(
        "the kernel does not count what BPF programs cost: {0}; --cost needs CAP_SYS_ADMIN, or watch \
         without it"
    )]
    Statistics(#[source] std::io::Error),
    /// The final put for the calibration could not be made.
    #[error("cannot make a pipe for the calibration: {0}")]
    Calibration(#[source] std::io::Error),
}
