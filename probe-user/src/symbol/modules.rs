//! Which modules lie where, those that are gone included.

use std::fs;

use probe_common::AddressRange;

/// Where the kernel lists its modules.
const MODULES: &str = "/proc/modules";

/// So many modules are remembered, those that are loaded included: more than a kernel has.
const SEEN_MAX: usize = 4096;

/// A module and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// From the start of its text; as long as all its parts together, so that the end may be
    /// another module's. The kernel does not tell how long the text itself is.
    pub range: AddressRange,
}

/// The modules seen so far, the latest last.
pub struct Modules {
    seen: Vec<Module>,
    loaded: Vec<Module>,
}

impl Modules {
    /// The modules that are loaded now.
    #[must_use]
    pub fn from_kernel() -> Self {
        Self::of(read())
    }

    /// Exactly these.
    #[must_use]
    pub fn of(modules: Vec<Module>) -> Self {
        Self {
            seen: modules.clone(),
            loaded: modules,
        }
    }

    /// Looks again, and returns the ranges of modules that were loaded since.
    pub fn refresh(&mut self) -> Vec<AddressRange> {
        self.update(read())
    }

    fn update(&mut self, now: Vec<Module>) -> Vec<AddressRange> {
        let new: Vec<Module> = now
            .iter()
            .filter(|module| !self.loaded.contains(module))
            .cloned()
            .collect();
        let ranges = new.iter().map(|module| module.range).collect();
        // The latest last: a module that is loaded again is not remembered twice.
        self.seen.retain(|module| !new.contains(module));
        self.seen.extend(new);
        let too_many = self.seen.len().saturating_sub(SEEN_MAX);
        self.seen.drain(..too_many);
        self.loaded = now;
        ranges
    }

    /// The module at `address`: one that is loaded, else the latest that was there.
    #[must_use]
    pub fn at(&self, address: u64) -> Option<&Module> {
        let loaded = self
            .loaded
            .iter()
            .filter(|module| module.range.contains(address))
            // Where ranges overlap, the nearest start is right.
            .max_by_key(|module| module.range.start);
        loaded.or_else(|| {
            self.seen
                .iter()
                .rev()
                .find(|module| module.range.contains(address))
        })
    }
}

fn read() -> Vec<Module> {
    // Without CONFIG_MODULES there is no such file, and there are no modules.
    fs::read_to_string(MODULES).map_or_else(|_| Vec::new(), |text| parse(&text))
}

/// Reads lines `name size uses users state address`; those without an address are skipped.
fn parse(text: &str) -> Vec<Module> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let name = words.next()?;
            let size: u64 = words.next()?.parse().ok()?;
            let start = words.nth(3)?.strip_prefix("0x")?;
            let start = u64::from_str_radix(start, 16)
                .ok()
                .filter(|start| *start != 0)?;
            let range = AddressRange {
                start,
                end: start.checked_add(size)?,
            };
            Some(Module {
                name: name.into(),
                range,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parsed() {
        let text = "\
ceph 643072 1 - Live 0xffffffffc0a00000 (E)
libceph 524288 1 ceph, Live 0xffffffffc0980000
hidden 4096 0 - Live 0x0000000000000000
short 4096
";
        let modules = parse(text);
        let names: Vec<_> = modules.iter().map(|module| module.name.as_str()).collect();
        assert_eq!(names, ["ceph", "libceph"]);
        assert_eq!(
            modules[0].range,
            AddressRange {
                start: 0xffff_ffff_c0a0_0000,
                end: 0xffff_ffff_c0a9_d000
            }
        );
    }

    #[test]
    fn modules_that_are_gone_are_remembered() {
        let module = |name: &str, start: u64| Module {
            name: name.into(),
            range: AddressRange {
                start,
                end: start + 0x1000,
            },
        };
        let mut modules = Modules::of(vec![module("a", 0x1000)]);
        assert_eq!(modules.update(Vec::new()), []);
        assert_eq!(modules.at(0x1800).unwrap().name, "a");
        assert_eq!(modules.update(vec![module("b", 0x1400)]).len(), 1);
        assert_eq!(modules.at(0x1800).unwrap().name, "b", "the loaded one");
        assert_eq!(modules.at(0x1200).unwrap().name, "a");
        assert_eq!(
            modules
                .update(vec![module("a", 0x1000), module("b", 0x1400)])
                .len(),
            1
        );
        assert_eq!(modules.seen.len(), 2);
        assert!(modules.at(0x3000).is_none());
    }

    #[test]
    fn the_oldest_that_are_gone_are_forgotten() {
        let mut modules = Modules::of(Vec::new());
        for index in 0..=SEEN_MAX as u64 {
            let start = 0x1000 * (index + 1);
            modules.update(vec![Module {
                name: "m".into(),
                range: AddressRange {
                    start,
                    end: start + 0x1000,
                },
            }]);
        }
        assert_eq!(modules.seen.len(), SEEN_MAX);
        assert!(modules.at(0x1000).is_none());
        assert!(modules.at(0x2000).is_some());
    }
}
