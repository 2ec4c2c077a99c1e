//! The attach points: which function, by which programs, at which level.

use crate::{
    kernel::symbols::Symbols,
    report::model::{Attach, Level},
};

/// A kernel function that is watched.
pub struct AttachPoint {
    /// Its name.
    pub function: &'static str,
    /// The programs on its entry and exit.
    kprobe: Programs,
    fentry: Programs,
    /// Whether it is needed when only evictions are watched.
    for_evictions: bool,
    /// Whether a kernel without it can be watched: a compiler may inline what is static.
    pub optional: bool,
}

/// The programs of one kind on one function.
#[derive(Clone, Copy)]
pub struct Programs {
    /// On its entry.
    pub entry: &'static str,
    /// On its exit.
    pub exit: Option<&'static str>,
}

/// Every function that is watched, in the order of attaching.
pub const ATTACH_POINTS: &[AttachPoint] = &[
    AttachPoint {
        function: "do_writepages",
        kprobe: Programs {
            entry: "do_writepages_kprobe",
            exit: Some("do_writepages_kretprobe"),
        },
        fentry: Programs {
            entry: "do_writepages_fentry",
            exit: Some("do_writepages_fexit"),
        },
        for_evictions: true,
        optional: false,
    },
    AttachPoint {
        function: "writeback_single_inode",
        kprobe: Programs {
            entry: "writeback_single_inode_kprobe",
            exit: Some("writeback_single_inode_kretprobe"),
        },
        fentry: Programs {
            entry: "writeback_single_inode_fentry",
            exit: Some("writeback_single_inode_fexit"),
        },
        for_evictions: true,
        optional: true,
    },
    AttachPoint {
        function: "wb_workfn",
        kprobe: Programs {
            entry: "wb_workfn_kprobe",
            exit: Some("wb_workfn_kretprobe"),
        },
        fentry: Programs {
            entry: "wb_workfn_fentry",
            exit: Some("wb_workfn_fexit"),
        },
        for_evictions: true,
        optional: false,
    },
    AttachPoint {
        function: "evict",
        kprobe: Programs {
            entry: "evict_kprobe",
            exit: Some("evict_kretprobe"),
        },
        fentry: Programs {
            entry: "evict_fentry",
            exit: Some("evict_fexit"),
        },
        for_evictions: true,
        optional: false,
    },
    AttachPoint {
        function: "iput",
        kprobe: Programs {
            entry: "iput_kprobe",
            exit: None,
        },
        fentry: Programs {
            entry: "iput_fentry",
            exit: None,
        },
        for_evictions: false,
        optional: false,
    },
];

impl AttachPoint {
    /// The programs for this kind of attachment.
    #[must_use]
    pub const fn programs(&self, attach: Attach) -> Programs {
        match attach {
            Attach::Kprobe => self.kprobe,
            Attach::Fentry => self.fentry,
        }
    }

    /// The functions that are watched at `level`, but those that this kernel can do without and
    /// does not have.
    #[must_use]
    pub fn on(symbols: &Symbols, level: Level) -> Vec<&'static Self> {
        ATTACH_POINTS
            .iter()
            .filter(|point| point.for_evictions || level != Level::Evictions)
            .filter(|point| !point.optional || symbols.contains(point.function))
            .collect()
    }
}
