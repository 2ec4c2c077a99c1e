//! The attach points: which function, by which programs, at which level.

use crate::report::model::{Attach, Level};

/// A kernel function that is watched.
pub struct AttachPoint {
    /// Its name.
    pub function: &'static str,
    /// The programs on its entry and exit.
    kprobe: Programs,
    fentry: Programs,
    /// Whether it is needed when only evictions are watched.
    for_evictions: bool,
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

    /// Whether it is watched at `level`.
    #[must_use]
    pub fn at(&self, level: Level) -> bool {
        self.for_evictions || level == Level::Final
    }
}
