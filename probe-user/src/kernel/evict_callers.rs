//! Who calls `evict()` directly on the running kernel, found by reading its machine code.
//!
//! `iput()` ends in a jump to `evict()`, so in a stack taken there `iput` has no frame, and the
//! return address lies in iput's caller: any function at all, unless it is one of the few that
//! call `evict()` themselves (`dispose_list()` and what it is inlined into). Which those are
//! depends on the version and the compiler, so the calls are looked up in the kernel's text.

use probe_common::AddressRange;

use super::{
    symbols::{Symbols, plain_name},
    text::{self, KernelText, TextError},
};

/// Why the callers are not known.
#[derive(Debug, thiserror::Error)]
pub enum EvictCallersError {
    /// The code of other machines is not understood.
    #[error("direct calls are only recognised in x86-64 code")]
    Machine,
    /// A symbol that bounds the search is missing.
    #[error("no symbol `{0}` in /proc/kallsyms; the kernel needs CONFIG_KALLSYMS_ALL=y")]
    NoSymbol(&'static str),
    /// The kernel's text could not be read.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Not even `iput()` is among the callers: the text is not what it seems.
    #[error(
        "iput() does not seem to call evict() in the kernel's text: its code is not understood"
    )]
    NoPut,
}

/// A function that transfers control straight to `evict()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The function's name, without the suffixes of parts that the compiler split off.
    pub name: String,
    /// Its text, or those parts of it that have such a transfer, lowest first.
    pub ranges: Vec<AddressRange>,
    /// Whether any transfer is a jump, after which the function has no frame.
    pub jumps: bool,
}

/// Finds every function of the kernel itself other than `iput()` that calls, or jumps to,
/// `evict()`.
///
/// # Errors
/// If a symbol is missing, the kernel's text cannot be read, or not even `iput()` is found.
pub fn direct_callers(symbols: &Symbols) -> Result<Vec<Caller>, EvictCallersError> {
    if !cfg!(target_arch = "x86_64") {
        return Err(EvictCallersError::Machine);
    }
    let address = |name: &'static str| {
        symbols
            .address(name)
            .ok_or(EvictCallersError::NoSymbol(name))
    };
    let text = AddressRange {
        start: address("_stext")?,
        end: address("_etext")?,
    };
    let entry = EntryPoints::of(address("evict")?, symbols.address("__pfx_evict"));
    let code = KernelText::open()?.read(text)?;
    without_put(callers_at(symbols, &transfers_to(&code, text.start, entry)))
}

/// Takes out `iput()`, which must be there: the search can only be trusted if it found that.
fn without_put(mut callers: Vec<Caller>) -> Result<Vec<Caller>, EvictCallersError> {
    // A compiler may leave iput_final() a function of its own.
    let is_put = |caller: &Caller| matches!(caller.name.as_str(), "iput" | "iput_final");
    if !callers.iter().any(is_put) {
        return Err(EvictCallersError::NoPut);
    }
    callers.retain(|caller| !is_put(caller));
    Ok(callers)
}

/// The addresses that a direct call of a function may go to, both included.
///
/// Not only its start: a direct call may skip the ENDBR there, and with call depth tracking it
/// enters the padding before it (`patch_dest()` in arch/x86/kernel/callthunks.c, since 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EntryPoints {
    first: u64,
    last: u64,
}

/// Length of the ENDBR64 instruction.
const ENDBR_LEN: u64 = 4;

/// The most padding before a function (`CONFIG_FUNCTION_PADDING_BYTES`).
const PADDING_MAX: u64 = 64;

impl EntryPoints {
    fn of(function: u64, padding: Option<u64>) -> Self {
        Self {
            first: padding
                .filter(|start| *start < function && function - *start <= PADDING_MAX)
                .unwrap_or(function),
            last: function + ENDBR_LEN,
        }
    }
}

/// A direct control transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Transfer {
    /// Address of its instruction.
    at: u64,
    /// A jump, conditional or not, as opposed to a call.
    jump: bool,
}

/// Length of a transfer's displacement, which ends its instruction.
const REL32_LEN: usize = 4;

/// Finds the direct transfers in `code`, which lies at address `base`, that go to `entry`:
/// `call rel32` (E8), `jmp rel32` (E9) and `jcc rel32` (0F 80 to 0F 8F).
///
/// Code is not decoded: every four bytes are taken for a displacement, which almost never
/// leads to `entry` by chance, and only then is the opcode looked at.
fn transfers_to(code: &[u8], base: u64, entry: EntryPoints) -> Vec<Transfer> {
    let span = entry.last.wrapping_sub(entry.first);
    let mut found = Vec::new();
    // The address after the displacement, from which it counts.
    let mut next = base.wrapping_add(REL32_LEN as u64);
    for (index, bytes) in code.windows(REL32_LEN).enumerate() {
        let &[a, b, c, d] = bytes else { continue };
        let target = text::target([a, b, c, d], next);
        if target.wrapping_sub(entry.first) <= span {
            let before = index.checked_sub(1).and_then(|at| code.get(at));
            let opcode_start = next.wrapping_sub(REL32_LEN as u64 + 1);
            match before {
                Some(0xe8) => found.push(Transfer {
                    at: opcode_start,
                    jump: false,
                }),
                Some(0xe9) => found.push(Transfer {
                    at: opcode_start,
                    jump: true,
                }),
                Some(0x80..=0x8f) if index >= 2 && code.get(index - 2) == Some(&0x0f) => {
                    found.push(Transfer {
                        at: opcode_start.wrapping_sub(1),
                        jump: true,
                    });
                }
                _ => {}
            }
        }
        next = next.wrapping_add(1);
    }
    found
}

/// Maps transfers to their functions; a jump inside `evict` itself is none.
fn callers_at(symbols: &Symbols, transfers: &[Transfer]) -> Vec<Caller> {
    let mut callers: Vec<Caller> = Vec::new();
    for transfer in transfers {
        let Some(function) = symbols.function_at(transfer.at) else {
            continue;
        };
        let name = plain_name(function.name);
        if name == "evict" {
            continue;
        }
        let range = AddressRange {
            start: function.start,
            end: function.end.unwrap_or(transfer.at + 1),
        };
        let index = callers.iter().position(|caller| caller.name == name);
        let index = index.unwrap_or_else(|| {
            callers.push(Caller {
                name: name.to_owned(),
                ranges: Vec::new(),
                jumps: false,
            });
            callers.len() - 1
        });
        if let Some(caller) = callers.get_mut(index) {
            caller.jumps |= transfer.jump;
            if !caller.ranges.contains(&range) {
                caller.ranges.push(range);
            }
        }
    }
    callers
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0xffff_ffff_8100_0000;
    const EVICT: u64 = BASE + 0x400;

    /// Puts `opcode` and the displacement from `at` to `target` into `code`.
    fn put(code: &mut [u8], at: usize, opcode: &[u8], target: u64) {
        let after = BASE + (at + opcode.len() + 4) as u64;
        let displacement = i32::try_from(target.wrapping_sub(after).cast_signed()).unwrap();
        code[at..at + opcode.len()].copy_from_slice(opcode);
        code[at + opcode.len()..][..4].copy_from_slice(&displacement.to_le_bytes());
    }

    fn code() -> Vec<u8> {
        let mut code = vec![0x90; 0x1000];
        put(&mut code, 0x110, &[0xe8], EVICT);
        put(&mut code, 0x213, &[0xe9], EVICT + 4);
        put(&mut code, 0x305, &[0x0f, 0x84], EVICT - 16);
        put(&mut code, 0x380, &[0xe8], EVICT + 5); // elsewhere
        put(&mut code, 0x390, &[0x8d], EVICT); // no transfer
        put(&mut code, 0x420, &[0x74, 0x84], EVICT); // no 0F before
        put(&mut code, 0x430, &[0xe9], EVICT); // a loop in evict
        put(&mut code, 0x801, &[0xe8], EVICT); // backwards
        code
    }

    fn symbols() -> Symbols {
        Symbols::parse(
            "ffffffff81000000 T _stext\nffffffff81000100 t dispose_list\n\
             ffffffff81000200 T iput\nffffffff81000300 t prune\nffffffff810003f0 t __pfx_evict\n\
             ffffffff81000400 t evict\nffffffff81000500 t other\n\
             ffffffff81000800 t prune.cold\nffffffff81001000 T _etext\n",
        )
        .unwrap()
    }

    fn range(start: u64, end: u64) -> AddressRange {
        AddressRange {
            start: BASE + start,
            end: BASE + end,
        }
    }

    #[test]
    fn transfers_are_found_and_attributed() {
        let entry = EntryPoints::of(EVICT, Some(EVICT - 16));
        let transfers = transfers_to(&code(), BASE, entry);
        let at: Vec<_> = transfers.iter().map(|t| (t.at - BASE, t.jump)).collect();
        assert_eq!(
            at,
            [
                (0x110, false),
                (0x213, true),
                (0x305, true),
                (0x430, true),
                (0x801, false)
            ]
        );
        assert_eq!(
            callers_at(&symbols(), &transfers),
            [
                Caller {
                    name: "dispose_list".into(),
                    ranges: vec![range(0x100, 0x200)],
                    jumps: false
                },
                Caller {
                    name: "iput".into(),
                    ranges: vec![range(0x200, 0x300)],
                    jumps: true
                },
                Caller {
                    name: "prune".into(),
                    ranges: vec![range(0x300, 0x3f0), range(0x800, 0x1000)],
                    jumps: true
                },
            ]
        );
    }

    #[test]
    fn a_search_that_misses_iput_is_not_trusted() {
        let caller = |name: &str| Caller {
            name: name.into(),
            ranges: Vec::new(),
            jumps: false,
        };
        let found = without_put(vec![caller("iput"), caller("dispose_list")]).unwrap();
        assert_eq!(found, [caller("dispose_list")]);
        assert!(matches!(
            without_put(vec![caller("dispose_list")]),
            Err(EvictCallersError::NoPut)
        ));
    }

    #[test]
    fn padding_counts_only_next_to_the_function() {
        assert_eq!(EntryPoints::of(EVICT, None).first, EVICT);
        assert_eq!(
            EntryPoints::of(EVICT, Some(EVICT - 0x1000)).first,
            EVICT,
            "another symbol of that name"
        );
        assert!(transfers_to(&[0xe8, 0, 0], BASE, EntryPoints::of(EVICT, None)).is_empty());
    }
}
