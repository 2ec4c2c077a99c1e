//! Addresses to names, modules and source lines: what makes a stack readable.
//!
//! Names, offsets, sizes and modules come from the kernel's own symbol table, so that frames
//! read as the kernel prints them; source lines and inlined functions come from debug
//! information through blazesym, where there is any. Nothing here fails: what cannot be resolved
//! stays a frame without a name.

pub mod debug_info;
pub mod modules;
mod site;
pub mod thread_stack;

use std::{collections::HashMap, path::PathBuf};

use self::{
    debug_info::{DebugInfo, DebugSource},
    modules::Modules,
};
use crate::{
    kernel::{
        symbols::{Function, Symbols},
        text::KernelText,
    },
    report::model::Frame,
};

pub use self::site::{is_return_trampoline, site_id, site_names};

/// Turns return addresses into frames, each distinct address once.
pub struct Symbolizer {
    symbols: Symbols,
    modules: Modules,
    debug_info: DebugInfo,
    /// The kernel's code, if it may be read.
    text: Option<KernelText>,
    /// Whether frames keep their addresses.
    addresses: bool,
    cache: HashMap<u64, Frame>,
    /// Whether the symbol table may be read again before the next [`Symbolizer::refresh`].
    may_reread: bool,
}

impl Symbolizer {
    /// Symbolizes with `symbols`, with the kernel image `vmlinux` if that is given and else with
    /// the one that belongs to the running kernel, if there is one. `addresses`: whether frames
    /// keep their addresses.
    #[must_use]
    pub fn new(symbols: Symbols, vmlinux: Option<PathBuf>, addresses: bool) -> Self {
        Self {
            symbols,
            modules: Modules::from_kernel(),
            debug_info: DebugInfo::find(vmlinux),
            text: KernelText::open().ok(),
            addresses,
            cache: HashMap::new(),
            may_reread: true,
        }
    }

    /// Where debug information was looked for, and what came of it.
    #[must_use]
    pub fn sources(&self) -> &[DebugSource] {
        self.debug_info.sources()
    }

    /// Takes note of modules that came and went. To be called at each drain, before the new
    /// stacks are symbolized.
    pub fn refresh(&mut self) {
        self.may_reread = true;
        let loaded = self.modules.refresh();
        if loaded.is_empty() {
            return;
        }
        // Addresses of a module that is gone may be another's now.
        self.cache.retain(|address, frame| {
            frame.function.is_some() && !loaded.iter().any(|range| range.contains(*address))
        });
        self.reread();
    }

    /// Reads the symbol table again. It is long, so that is done only for what it can answer.
    fn reread(&mut self) {
        self.may_reread = false;
        match Symbols::from_kallsyms() {
            Ok(symbols) => self.symbols = symbols,
            Err(error) => log::warn!("the names of new functions stay unknown: {error}"),
        }
    }

    /// The frames of a stack of return addresses, innermost first. Frames of BPF trampolines are
    /// left out: they are there only because the function is being traced.
    #[must_use]
    pub fn frames(&mut self, addresses: &[u64]) -> Vec<Frame> {
        let frames = addresses
            .iter()
            .map(|address| self.frame(*address))
            .collect();
        without_trampolines(frames)
    }

    /// The name of the function that begins at `address`, as the kernel has it.
    #[must_use]
    pub fn function_name(&mut self, address: u64) -> Option<String> {
        // One byte on, and the address after which that instruction ends is inside.
        self.frame(address.wrapping_add(1)).function
    }

    /// The function that the call before a return address called, if that was a direct call and the
    /// kernel shows its code. It need not have a frame: it may have ended in a jump.
    #[must_use]
    pub fn called_function(&mut self, return_address: u64) -> Option<String> {
        let target = self.text.as_mut()?.callee(return_address)?;
        // One byte on, as the address after an instruction that is inside.
        let function = self.frame(target.wrapping_add(1));
        let is_entry = [0, ENDBR_LEN].contains(&function.offset.wrapping_sub(1));
        let name = function.function.filter(|_| is_entry)?;
        // A call may enter the padding before a function (arch/x86/kernel/callthunks.c), and an
        // indirect one goes through a thunk.
        let name = name.strip_prefix("__pfx_").unwrap_or(&name).to_owned();
        (!name.starts_with("__x86_indirect_") && !name.starts_with("__SCT__")).then_some(name)
    }

    /// The function that made a call, by the call's return address; `None` if a kretprobe hides
    /// it.
    #[must_use]
    pub fn caller_name(&mut self, return_address: u64) -> Option<String> {
        self.frame(return_address)
            .function
            .filter(|name| !is_return_trampoline(name))
    }

    /// The name of the variable that begins at `address`.
    #[must_use]
    pub fn variable_name(&self, address: u64) -> Option<&str> {
        self.symbols.variable_at(address)
    }

    fn frame(&mut self, address: u64) -> Frame {
        if let Some(frame) = self.cache.get(&address) {
            return frame.clone();
        }
        let mut frame = self.resolve(address);
        if frame.function.is_none() && self.may_reread {
            // Code that was generated since: trampolines and BPF programs are in the table, too.
            self.reread();
            frame = self.resolve(address);
        }
        self.cache.insert(address, frame.clone());
        frame
    }

    /// Resolves a return address. It is the address after the call, which may be another
    /// function's: it is looked up one byte earlier, and shown as it is. A kretprobe's return
    /// trampoline was not called: the address is its own first one.
    fn resolve(&self, address: u64) -> Frame {
        let is_entry = self
            .function_at(address)
            .is_some_and(|function| is_return_trampoline(function.name));
        let call = if is_entry {
            address
        } else {
            address.wrapping_sub(1)
        };
        let mut frame = Frame {
            address: self.addresses.then(|| format!("{address:#x}")),
            ..Frame::default()
        };
        if let Some(function) = self.function_at(call) {
            frame.function = Some(function.name.to_owned());
            frame.offset = address.wrapping_sub(function.start);
            frame.size = function.end.map(|end| end - function.start);
            frame.module = function.module.map(ToOwned::to_owned);
            if let Some(place) = self.debug_info.place_of(call, function.name) {
                frame.source = place.source;
                frame.inlined = place.inlined;
            }
        } else if let Some(module) = self.modules.at(call) {
            frame.offset = address.wrapping_sub(module.range.start);
            frame.module = Some(module.name.clone());
        }
        frame
    }

    /// The function at `address`. The symbol table does not say where the last function of a
    /// module ends; beyond it the modules' own ranges decide.
    fn function_at(&self, address: u64) -> Option<Function<'_>> {
        let function = self.symbols.function_at(address)?;
        let plausible = function.end.is_some()
            || match (self.modules.at(address), function.module) {
                (Some(range), Some(module)) => range.name == module,
                (None, Some(module)) => {
                    is_generated(module) && address - function.start < GENERATED_MAX
                }
                (_, None) => false,
            };
        plausible.then_some(function)
    }
}

/// Length of the instruction that a direct call of a function may skip (ENDBR64).
const ENDBR_LEN: u64 = 4;

/// How long the last piece of generated code may be: most are a page or two.
const GENERATED_MAX: u64 = 0x1_0000;

/// Whether the symbol table's "module" stands for code that the kernel generates, such as `bpf`
/// or `__builtin__ftrace` (`bpf_get_kallsym()` and `ftrace_mod_get_kallsym()` in 7.3).
fn is_generated(module: &str) -> bool {
    module == "bpf" || module.starts_with("__builtin__")
}

/// Whether the frame is a BPF trampoline's.
fn is_trampoline(frame: &Frame) -> bool {
    frame
        .function
        .as_deref()
        .is_some_and(|name| name.starts_with("bpf_trampoline_"))
}

/// The most bytes before the end of a traced function's call into its trampoline: an ENDBR and
/// the call.
const TRACED_PROLOGUE: u64 = 9;

/// Leaves out BPF trampolines, together with the frame of the traced function's entry that each
/// was called from: the function itself has its frame already, further in.
fn without_trampolines(frames: Vec<Frame>) -> Vec<Frame> {
    let mut kept: Vec<Frame> = Vec::with_capacity(frames.len());
    let mut after_trampoline = false;
    for frame in frames {
        let is_entry =
            after_trampoline && frame.function.is_some() && frame.offset <= TRACED_PROLOGUE;
        after_trampoline = is_trampoline(&frame);
        if !after_trampoline && !is_entry {
            kept.push(frame);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use probe_common::AddressRange;

    use super::{modules::Module, *};

    const TEXT: &str = "\
ffffffff81000000 T _stext
ffffffff81000100 T caller
ffffffff81000180 T next
ffffffff81000200 T _etext
ffffffffc0100000 t ceph_a\t[ceph]
ffffffffc0100040 t ceph_last\t[ceph]
ffffffffc0300000 t bpf_trampoline_6442\t[bpf]
";

    fn symbolizer(addresses: bool) -> Symbolizer {
        let module = |name: &str, start, end| Module {
            name: name.into(),
            range: AddressRange { start, end },
        };
        Symbolizer {
            symbols: Symbols::parse(TEXT).unwrap(),
            modules: Modules::of(vec![
                module("ceph", 0xffff_ffff_c010_0000, 0xffff_ffff_c010_1000),
                module("gone", 0xffff_ffff_c020_0000, 0xffff_ffff_c020_1000),
            ]),
            debug_info: DebugInfo::none(),
            text: None,
            addresses,
            cache: HashMap::new(),
            may_reread: false,
        }
    }

    #[test]
    fn frames_read_as_the_kernel_prints_them() {
        let frames = symbolizer(false).frames(&[
            0xffff_ffff_8100_0110,
            // A call that does not return is a function's last instruction.
            0xffff_ffff_8100_0180,
            0xffff_ffff_c010_0051,
        ]);
        let frame = |function: &str, offset, size, module: Option<&str>| Frame {
            function: Some(function.into()),
            offset,
            size,
            module: module.map(Into::into),
            ..Frame::default()
        };
        assert_eq!(
            frames,
            [
                frame("caller", 0x10, Some(0x80), None),
                frame("caller", 0x80, Some(0x80), None),
                frame("ceph_last", 0x11, None, Some("ceph")),
            ]
        );
    }

    #[test]
    fn unresolved_frames_stay() {
        let frames = symbolizer(true).frames(&[0xffff_ffff_c020_0010, 0xffff_ffff_c090_0000, 5, 0]);
        assert_eq!(frames.len(), 4);
        assert!(frames.iter().all(|frame| frame.function.is_none()));
        assert_eq!(frames[0].module.as_deref(), Some("gone"));
        assert_eq!(frames[1].module, None);
        assert_eq!(frames[2].address.as_deref(), Some("0x5"));
    }

    #[test]
    fn what_was_resolved_outlives_its_module() {
        let mut symbolizer = symbolizer(false);
        let before = symbolizer.frames(&[0xffff_ffff_c010_0010]);
        symbolizer.symbols = Symbols::parse("ffffffff81000000 T _stext\n").unwrap();
        symbolizer.modules = Modules::of(Vec::new());
        assert_eq!(symbolizer.frames(&[0xffff_ffff_c010_0010]), before);
    }

    #[test]
    fn work_functions_are_named_by_their_start() {
        let mut symbolizer = symbolizer(false);
        let name = symbolizer.function_name(0xffff_ffff_8100_0180);
        assert_eq!(name.as_deref(), Some("next"));
    }

    #[test]
    fn trampolines_are_the_observers() {
        let frames = symbolizer(false).frames(&[
            0xffff_ffff_8100_0150,
            0xffff_ffff_c030_0050,
            0xffff_ffff_8100_0109,
            0xffff_ffff_8100_0190,
        ]);
        let names: Vec<_> = frames
            .iter()
            .filter_map(|frame| frame.function.as_deref())
            .collect();
        assert_eq!(names, ["caller", "next"]);
    }
}
