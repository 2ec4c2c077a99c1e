//! Filesystem types that rules tell apart, by the names that they are registered under.

/// Types that mean the same thing to a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct FilesystemGroup {
    /// What they have in common, as in "an inode of a filesystem in memory".
    pub what: &'static str,
    /// Their names.
    pub names: &'static [&'static str],
}

/// Types whose eviction frees memory and does nothing else: there is no page, no device, no
/// server, no transaction, and no lock that anybody holds for long. `sockfs_ops` (net/socket.c)
/// has at most an `->evict_inode()` that frees extended attributes through RCU, `pipefs_ops`
/// (fs/pipe.c) has none. What a socket or a pipe itself has to end, its file's `->release()` has
/// ended before.
pub const NOTHING_BEHIND: FilesystemGroup = FilesystemGroup {
    what: "a socket or a pipe",
    names: &["sockfs", "pipefs"],
};
