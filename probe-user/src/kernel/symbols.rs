//! The kernel's symbols, from one reading of `/proc/kallsyms`: names to addresses and back.

use std::{fs, io};

use probe_common::AddressRange;

/// Where the kernel lists its symbols.
const KALLSYMS: &str = "/proc/kallsyms";

/// Why the kernel's symbols are not known.
#[derive(Debug, thiserror::Error)]
pub enum SymbolsError {
    /// The file could not be read.
    #[error("cannot read {KALLSYMS}: {0}; the kernel needs CONFIG_KALLSYMS=y and /proc mounted")]
    Read(#[from] io::Error),
    /// There is not one symbol in it.
    #[error(
        "{KALLSYMS} lists no symbols: the kernel needs CONFIG_KALLSYMS=y and CONFIG_KALLSYMS_ALL=y"
    )]
    Empty,
    /// The kernel shows zeros in place of addresses (`kallsyms_show_value()`).
    #[error(
        "{KALLSYMS} hides all addresses: run as root (CAP_SYSLOG in the initial user namespace) \
         with `sysctl kernel.kptr_restrict` below 2"
    )]
    Hidden,
}

/// One line of kallsyms.
#[derive(Clone, Copy)]
struct Symbol {
    address: u64,
    /// Where its name begins in [`Symbols::names`].
    name: u32,
    name_len: u16,
    /// Index into [`Symbols::modules`]; 0 is the kernel itself.
    module: u16,
    is_text: bool,
}

/// The symbols of the running kernel and its modules.
///
/// A name need not be unique: static functions of different files share names, and one address
/// may have several names. [`Symbols::addresses`] shows all of a name's addresses.
pub struct Symbols {
    names: String,
    /// Names of modules; the first is empty and stands for the kernel.
    modules: Vec<String>,
    /// In the order of addresses; symbols of the same address in the order of kallsyms.
    table: Vec<Symbol>,
    /// Hash of the name without suffixes, and index into `table`; sorted. Far cheaper to build
    /// than an index sorted by name, which counts in an emulated guest.
    by_hash: Vec<(u32, u32)>,
}

/// The function that an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function<'a> {
    /// Its name as the kernel has it, suffixes such as `.cold` included.
    pub name: &'a str,
    /// Its first address.
    pub start: u64,
    /// The first address after it, if the next symbol tells.
    pub end: Option<u64>,
    /// The module it belongs to; `None` for the kernel itself.
    pub module: Option<&'a str>,
}

impl Symbols {
    /// Reads the running kernel's symbols.
    ///
    /// # Errors
    /// If the file cannot be read, is empty, or hides the addresses.
    pub fn from_kallsyms() -> Result<Self, SymbolsError> {
        let bytes = fs::read(KALLSYMS)?;
        Self::parse(&String::from_utf8_lossy(&bytes))
    }

    /// Reads symbols in the format of `/proc/kallsyms`; lines in another format are skipped.
    ///
    /// # Errors
    /// If there is no symbol, or every address is zero.
    pub fn parse(text: &str) -> Result<Self, SymbolsError> {
        let lines_guess = text.len() / 40;
        let mut parsed = Self {
            names: String::with_capacity(text.len() / 2),
            modules: vec![String::new()],
            table: Vec::with_capacity(lines_guess),
            by_hash: Vec::new(),
        };
        for line in text.lines() {
            parsed.push_line(line);
        }
        if parsed.table.is_empty() {
            return Err(SymbolsError::Empty);
        }
        if parsed.table.iter().all(|symbol| symbol.address == 0) {
            return Err(SymbolsError::Hidden);
        }
        // Stable: of the names of one address the kernel prefers the first of its table
        // (get_symbol_pos() in kernel/kallsyms.c), and so do we.
        parsed.table.sort_by_key(|symbol| symbol.address);
        parsed.by_hash = (0u32..)
            .zip(&parsed.table)
            .map(|(index, symbol)| (hash(plain_name(parsed.name_of(symbol))), index))
            .collect();
        parsed.by_hash.sort_unstable();
        Ok(parsed)
    }

    /// Adds a line `address type name[\t[module]]`.
    fn push_line(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next())
        else {
            return;
        };
        let (Ok(address), Ok(start), Ok(name_len)) = (
            u64::from_str_radix(address, 16),
            u32::try_from(self.names.len()),
            u16::try_from(name.len()),
        ) else {
            return;
        };
        let module = words
            .next()
            .map_or("", |word| word.trim_matches(['[', ']']));
        let Some(module) = self.module_index(module) else {
            return;
        };
        self.names.push_str(name);
        self.table.push(Symbol {
            address,
            name: start,
            name_len,
            module,
            is_text: matches!(kind, "t" | "T" | "w" | "W"),
        });
    }

    /// The module's index; most lines belong to the same module as the line before.
    fn module_index(&mut self, module: &str) -> Option<u16> {
        if module.is_empty() {
            return Some(0);
        }
        let known = self.modules.iter().rposition(|known| known == module);
        let index = u16::try_from(known.unwrap_or(self.modules.len())).ok()?;
        if known.is_none() {
            self.modules.push(module.to_owned());
        }
        Some(index)
    }

    fn name_of(&self, symbol: &Symbol) -> &str {
        let start = symbol.name as usize;
        self.names
            .get(start..start + usize::from(symbol.name_len))
            .unwrap_or_default()
    }

    fn module_of(&self, symbol: &Symbol) -> Option<&str> {
        match symbol.module {
            0 => None,
            index => self.modules.get(usize::from(index)).map(String::as_str),
        }
    }

    /// The symbols whose name is `plain`, or `plain` and a suffix, with their indices; in the
    /// order of addresses.
    fn relatives<'a>(&'a self, plain: &'a str) -> impl Iterator<Item = (usize, &'a Symbol)> {
        let wanted = hash(plain);
        let first = self.by_hash.partition_point(|(hash, _)| *hash < wanted);
        self.by_hash[first..]
            .iter()
            .take_while(move |(hash, _)| *hash == wanted)
            .filter_map(|(_, index)| {
                let index = *index as usize;
                Some((index, self.table.get(index)?))
            })
            .filter(move |(_, symbol)| plain_name(self.name_of(symbol)) == plain)
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Symbol> {
        self.relatives(plain_name(name))
            .map(|(_, symbol)| symbol)
            .filter(move |symbol| self.name_of(symbol) == name)
    }

    /// The address of the symbol called exactly `name`: the kernel's own before any module's,
    /// the lowest if there are several ([`Symbols::addresses`] has them all). For a per-CPU
    /// variable, the value is an offset into the per-CPU area on kernels that list it so.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<u64> {
        self.named(name)
            .min_by_key(|symbol| (symbol.module != 0, symbol.address))
            .map(|symbol| symbol.address)
    }

    /// Every address of a symbol called exactly `name`, the kernel's and its modules', lowest
    /// first. More than one means that the name alone does not say which is meant.
    #[must_use]
    pub fn addresses(&self, name: &str) -> Vec<u64> {
        let mut addresses: Vec<u64> = self.named(name).map(|symbol| symbol.address).collect();
        addresses.dedup();
        addresses
    }

    /// Whether there is a symbol called exactly `name`.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    /// Whether there is a function called `plain`, with or without a compiler's suffix.
    #[must_use]
    pub fn contains_plain(&self, plain: &str) -> bool {
        self.relatives(plain).any(|(_, symbol)| symbol.is_text)
    }

    /// The function that `address` lies in: the nearest function at or below it.
    #[must_use]
    pub fn function_at(&self, address: u64) -> Option<Function<'_>> {
        let after = self
            .table
            .partition_point(|symbol| symbol.address <= address);
        let start = self.table.get(after.checked_sub(1)?)?.address;
        let first = self.table.partition_point(|symbol| symbol.address < start);
        let symbol = self.table[first..after]
            .iter()
            .find(|symbol| symbol.is_text)?;
        let end = self.end_of(after - 1);
        Some(Function {
            name: self.name_of(symbol),
            start,
            end,
            module: self.module_of(symbol),
        })
    }

    /// The name of the variable that begins at `address`.
    #[must_use]
    pub fn variable_at(&self, address: u64) -> Option<&str> {
        let first = self
            .table
            .partition_point(|symbol| symbol.address < address);
        self.table[first..]
            .iter()
            .take_while(|symbol| symbol.address == address)
            .find(|symbol| !symbol.is_text)
            .map(|symbol| self.name_of(symbol))
    }

    /// The next symbol's address, if it belongs to the same module and can bound the function.
    fn end_of(&self, index: usize) -> Option<u64> {
        let symbol = self.table.get(index)?;
        self.table[index..]
            .iter()
            .find(|next| next.address != symbol.address)
            .filter(|next| next.module == symbol.module)
            .map(|next| next.address)
    }

    /// The text of the function `name` and of the parts that the compiler split off it
    /// (`name.cold`, `name.part.0`, `name.isra.0.cold`…). The kernel's own functions if it has
    /// any of that name, else the modules'; several functions that share the name are all there.
    #[must_use]
    pub fn ranges(&self, name: &str) -> Vec<AddressRange> {
        let parts: Vec<(usize, &Symbol)> = self
            .relatives(name)
            .filter(|(_, symbol)| symbol.is_text)
            .collect();
        let only_kernel = parts.iter().any(|(_, symbol)| symbol.module == 0);
        let mut ranges: Vec<AddressRange> = parts
            .iter()
            .filter(|(_, symbol)| !only_kernel || symbol.module == 0)
            .map(|(index, symbol)| AddressRange {
                start: symbol.address,
                end: self
                    .end_of(*index)
                    .unwrap_or(symbol.address.saturating_add(1)),
            })
            .collect();
        ranges.dedup();
        ranges
    }
}

/// What compilers append to the name of a copy or a part of a function.
const SUFFIXES: &[&str] = &["isra", "part", "constprop", "cold", "llvm", "lto_priv"];

/// A function's name as the source has it: `iput.part.0.cold` is `iput`.
///
/// GCC appends `.isra.N`, `.part.N`, `.constprop.N`, `.cold`, `.lto_priv.N`, clang `.llvm.N`,
/// one after the other.
#[must_use]
pub fn plain_name(function: &str) -> &str {
    let mut name = function;
    while let Some((head, last)) = name.rsplit_once('.') {
        let numbered = last.bytes().all(|byte| byte.is_ascii_digit()) && !last.is_empty();
        let (head, word) = match (numbered, head.rsplit_once('.')) {
            (true, Some(split)) => split,
            (true, None) => break,
            (false, _) => (head, last),
        };
        if head.is_empty() || !SUFFIXES.contains(&word) {
            break;
        }
        name = head;
    }
    name
}

/// FNV-1a: short, and good enough for names.
fn hash(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
0000000000000000 A fixed_percpu_data
000000000001f8a8 A __preempt_count
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff813c1000 t __pfx_evict
ffffffff813c1010 t evict
ffffffff813c1200 T iput
ffffffff813c1200 T iput_alias
ffffffff813c1440 t twin
ffffffff813c1500 t twin
ffffffff81c00000 t iput.cold
ffffffff81c00020 t foo.isra.0
ffffffff81c00040 t foo.part.0.cold
ffffffff81d00000 T _etext
ffffffff82000000 D lock_classes
ffffffffc0100040 t ceph_b\t[ceph]
ffffffffc0100000 t ceph_a\t[ceph]
ffffffffc0200000 t twin\t[ext4]
this is no symbol
";

    fn symbols() -> Symbols {
        Symbols::parse(TEXT).unwrap()
    }

    #[test]
    fn names_have_addresses() {
        let symbols = symbols();
        assert_eq!(symbols.address("evict"), Some(0xffff_ffff_813c_1010));
        assert_eq!(symbols.address("__preempt_count"), Some(0x1f8a8));
        assert_eq!(symbols.address("fixed_percpu_data"), Some(0));
        assert_eq!(symbols.address("iput.cold"), Some(0xffff_ffff_81c0_0000));
        assert_eq!(symbols.address("foo"), None);
        assert!(symbols.contains("lock_classes"));
        assert!(!symbols.contains("lock_class"));
        assert!(!symbols.contains(""));
    }

    #[test]
    fn duplicates_are_all_there_and_the_kernel_comes_first() {
        let symbols = symbols();
        assert_eq!(symbols.addresses("twin").len(), 3);
        assert_eq!(symbols.address("twin"), Some(0xffff_ffff_813c_1440));
        assert_eq!(symbols.ranges("twin").len(), 2);
        assert_eq!(symbols.addresses("iput"), [0xffff_ffff_813c_1200]);
    }

    #[test]
    fn addresses_have_functions() {
        let symbols = symbols();
        let iput = symbols.function_at(0xffff_ffff_813c_1234).unwrap();
        assert_eq!(
            iput,
            Function {
                name: "iput",
                start: 0xffff_ffff_813c_1200,
                end: Some(0xffff_ffff_813c_1440),
                module: None
            }
        );
        let in_module = symbols.function_at(0xffff_ffff_c010_0044).unwrap();
        assert_eq!((in_module.name, in_module.module), ("ceph_b", Some("ceph")));
        assert_eq!(in_module.end, None, "the next module does not bound it");
        assert_eq!(
            symbols.function_at(0xffff_ffff_c010_0004).unwrap().end,
            Some(0xffff_ffff_c010_0040)
        );
        assert_eq!(symbols.function_at(0xffff_ffff_8200_0010), None, "data");
        assert_eq!(symbols.function_at(0x1f8a8), None, "per-CPU");
    }

    #[test]
    fn split_off_parts_belong_to_their_function() {
        let symbols = symbols();
        assert_eq!(
            symbols.ranges("iput"),
            [
                AddressRange {
                    start: 0xffff_ffff_813c_1200,
                    end: 0xffff_ffff_813c_1440
                },
                AddressRange {
                    start: 0xffff_ffff_81c0_0000,
                    end: 0xffff_ffff_81c0_0020
                },
            ]
        );
        assert_eq!(symbols.ranges("foo").len(), 2);
        assert_eq!(symbols.ranges("nothing"), []);
    }

    #[test]
    fn hidden_and_empty_are_told_apart() {
        assert!(matches!(
            Symbols::parse("0000000000000000 T _text\n0000000000000000 t evict\n"),
            Err(SymbolsError::Hidden)
        ));
        assert!(matches!(Symbols::parse("\n"), Err(SymbolsError::Empty)));
    }

    #[test]
    fn suffixes_are_the_compilers() {
        assert_eq!(plain_name("iput.part.0.cold"), "iput");
        assert_eq!(plain_name("iput"), "iput");
        assert_eq!(plain_name(".Lodd"), ".Lodd");
    }
}
