//! Where a guest has the kernel's tracing files.

/// Where tracefs is mounted.
pub const DIRECTORY: &str = "/sys/kernel/tracing";
/// The functions that something is attached to, one on each line.
pub const ENABLED_FUNCTIONS: &str = "/sys/kernel/tracing/enabled_functions";
