//! Debian's Ceph daemons, unpacked into the cache.

use std::path::PathBuf;

use anyhow::Result;

use crate::context::{Context, Staged};
use crate::host_packages;
use crate::progress::step;

/// The monitor, the object store, the metadata server, and the program that commands them.
const PACKAGES: [&str; 4] = ["ceph-mon", "ceph-osd", "ceph-mds", "ceph-common"];

/// Where they are, unpacked if they have not been.
pub fn unpacked(context: &Context) -> Result<PathBuf> {
    let target = context.cache.join("ceph");
    let _lock = context.lock("ceph")?;
    if !target.is_dir() {
        step("Ceph's packages", || {
            let staged = Staged::beside(&target)?;
            host_packages::unpack(context, &PACKAGES, staged.path())?;
            staged.commit()
        })?;
    }
    Ok(target)
}
