//! What makes a site the same across boots, hosts and rebuilds: its id.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::{kernel::symbols::plain_name, report::model::Frame};

/// Stands for a function that has no name.
const UNRESOLVED: &str = "?";

/// Bytes of the hash that are kept.
const ID_BYTES: usize = 8;

/// The return trampolines of kretprobes, by the names they had. The kernel shows one in place of
/// a return address that it cannot restore, so it says nothing of the chain
/// (`kretprobe_trampoline` to 5.14, `__kretprobe_trampoline` from 5.15, `arch_rethook_trampoline`
/// from 5.18).
const RETURN_TRAMPOLINES: &[&str] = &[
    "kretprobe_trampoline",
    "__kretprobe_trampoline",
    "arch_rethook_trampoline",
];

/// Whether the function is one that a kretprobe put in place of a return address. Up to 5.14
/// the stack ends there, as the unwinder cannot get past it.
#[must_use]
pub fn is_return_trampoline(function: &str) -> bool {
    RETURN_TRAMPOLINES.contains(&function)
}

/// What the id of a chain is made of: its functions, without the suffixes that compilers append,
/// and their modules, empty for the kernel itself.
pub fn site_names(frames: &[Frame]) -> impl Iterator<Item = (&str, &str)> {
    frames
        .iter()
        .map(|frame| {
            (
                frame.function.as_deref().map_or(UNRESOLVED, plain_name),
                frame.module.as_deref().unwrap_or_default(),
            )
        })
        .filter(|(function, _)| !is_return_trampoline(function))
}

/// The id of the chain `frames`, `iput`'s caller first: the first 16 hexadecimal digits of the
/// SHA-256 over its names, see [`site_names`]. Addresses and offsets have no part in it.
#[must_use]
pub fn site_id(frames: &[Frame]) -> String {
    let mut hash = Sha256::new();
    for (function, module) in site_names(frames) {
        hash.update(function);
        // No name has these characters: two different chains cannot read the same.
        hash.update([0]);
        hash.update(module);
        hash.update(b"\n");
    }
    hash.finalize()
        .iter()
        .take(ID_BYTES)
        .fold(String::new(), |mut id, byte| {
            // Writing to a string does not fail.
            let _ = write!(id, "{byte:02x}");
            id
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, offset: u64, module: &str) -> Frame {
        Frame {
            function: (!function.is_empty()).then(|| function.into()),
            offset,
            module: (!module.is_empty()).then(|| module.into()),
            ..Frame::default()
        }
    }

    #[test]
    fn the_id_is_of_names_alone() {
        let id = site_id(&[
            frame("ceph_put_wrbuffer_cap_refs", 0x10, "ceph"),
            frame("kthread", 1, ""),
        ]);
        assert_eq!(id.len(), 16);
        assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        // As sha256sum has it of the names in their form: the id must never change.
        assert_eq!(id, "1cf34f8a40b70d7a");
        let other_build = [
            frame("ceph_put_wrbuffer_cap_refs.part.0", 0x99, "ceph"),
            frame("arch_rethook_trampoline", 0, ""),
            frame("kthread", 7, ""),
        ];
        assert_eq!(site_id(&other_build), id);
    }

    #[test]
    fn different_chains_have_different_ids() {
        let chains = [
            vec![],
            vec![frame("a", 0, "")],
            vec![frame("a", 0, "m")],
            vec![frame("am", 0, "")],
            vec![frame("", 0, "")],
            vec![frame("", 0, "m")],
            vec![frame("a", 0, ""), frame("b", 0, "")],
            vec![frame("b", 0, ""), frame("a", 0, "")],
        ];
        let mut ids: Vec<String> = chains.iter().map(|chain| site_id(chain)).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), chains.len());
    }
}
