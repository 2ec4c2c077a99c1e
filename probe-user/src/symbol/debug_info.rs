//! Source lines and inlined functions, from a kernel image with debug information.
//!
//! blazesym maps the image instead of reading it, and indexes only the units that are asked for;
//! without an image it is never set up, and costs nothing.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use blazesym::{
    MaybeDefault,
    symbolize::{
        CodeInfo, Input, Symbolized, Symbolizer,
        source::{Kernel, Source as SymbolSource},
    },
};

use crate::{
    kernel::symbols::plain_name,
    report::model::{Inlined, Source},
};

/// Where distributions and kernel builds keep the image; `{}` is the kernel's release.
const PLACES: &[&str] = &[
    "/usr/lib/debug/boot/vmlinux-{}",
    "/usr/lib/debug/lib/modules/{}/vmlinux",
    "/boot/vmlinux-{}",
    "/lib/modules/{}/build/vmlinux",
];

/// A place where debug information was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebugSource {
    /// The file.
    pub path: PathBuf,
    /// What came of it.
    pub state: DebugState,
}

/// What came of looking for debug information in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DebugState {
    /// It is used.
    Used,
    /// There is no such file.
    Missing,
    /// It cannot be used.
    Unusable(String),
}

impl fmt::Display for DebugSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.state {
            DebugState::Used => write!(formatter, "{path}: used"),
            DebugState::Missing => write!(formatter, "{path}: not found"),
            DebugState::Unusable(reason) => write!(formatter, "{path}: {reason}"),
        }
    }
}

/// Where in the source an address is.
pub struct Place {
    /// File and line in the function itself.
    pub source: Option<Source>,
    /// The functions inlined there, innermost first.
    pub inlined: Vec<Inlined>,
}

/// The debug information of the running kernel, if there is any.
pub struct DebugInfo {
    image: Option<(Symbolizer, SymbolSource<'static>)>,
    sources: Vec<DebugSource>,
}

impl DebugInfo {
    /// None at all.
    #[must_use]
    pub fn none() -> Self {
        Self {
            image: None,
            sources: Vec::new(),
        }
    }

    /// Looks for the running kernel's image, or takes the one that is given.
    #[must_use]
    pub fn find(given: Option<PathBuf>) -> Self {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let candidates = given.map_or_else(
            || {
                let release = release.trim();
                PLACES
                    .iter()
                    .map(|place| place.replace("{}", release).into())
                    .collect()
            },
            |path| vec![path],
        );
        let sources = look_for(candidates);
        let used = sources
            .iter()
            .find(|source| source.state == DebugState::Used);
        let image = used.map(|source| {
            // The table of symbols was read already, and has the sizes, too.
            let kernel = Kernel {
                kallsyms: MaybeDefault::None,
                vmlinux: MaybeDefault::Some(source.path.clone()),
                debug_syms: true,
                ..Kernel::default()
            };
            (Symbolizer::new(), SymbolSource::Kernel(kernel))
        });
        Self { image, sources }
    }

    /// Where it was looked for, up to the file that is used.
    #[must_use]
    pub fn sources(&self) -> &[DebugSource] {
        &self.sources
    }

    /// The place of the instruction at `address`, which lies in `function`. An image that has
    /// another function there is not the running kernel's, and its lines would mislead.
    #[must_use]
    pub fn place_of(&self, address: u64, function: &str) -> Option<Place> {
        let (symbolizer, source) = self.image.as_ref()?;
        let symbol = match symbolizer.symbolize_single(source, Input::AbsAddr(address)) {
            Ok(Symbolized::Sym(symbol)) => symbol,
            Ok(Symbolized::Unknown(_)) => return None,
            Err(error) => {
                log::debug!("no source line for a place in {function}: {error}");
                return None;
            }
        };
        if plain_name(&symbol.name) != plain_name(function) {
            log::warn!(
                "the debug information has {} in place of {function}: is it of this kernel?",
                symbol.name
            );
            return None;
        }
        let inlined = symbol.inlined.iter().rev();
        Some(Place {
            source: symbol.code_info.as_deref().and_then(source_of),
            inlined: inlined
                .map(|inlined| Inlined {
                    function: inlined.name.clone().into_owned(),
                    source: inlined.code_info.as_ref().and_then(source_of),
                })
                .collect(),
        })
    }
}

fn source_of(info: &CodeInfo<'_>) -> Option<Source> {
    Some(Source {
        file: info.to_path().display().to_string(),
        line: info.line?,
    })
}

/// Tries each file, up to the first that can be used.
fn look_for(candidates: Vec<PathBuf>) -> Vec<DebugSource> {
    let mut sources = Vec::new();
    for path in candidates {
        let state = state_of(&path);
        let used = state == DebugState::Used;
        sources.push(DebugSource { path, state });
        if used {
            break;
        }
    }
    sources
}

fn state_of(path: &Path) -> DebugState {
    let mut magic = [0; 4];
    let opened =
        fs::File::open(path).and_then(|mut file| io::Read::read_exact(&mut file, &mut magic));
    match opened {
        Ok(()) if &magic == b"\x7fELF" => DebugState::Used,
        Ok(()) => DebugState::Unusable(
            "no ELF file; it must be the uncompressed vmlinux, with CONFIG_DEBUG_INFO=y".into(),
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => DebugState::Missing,
        Err(error) => DebugState::Unusable(format!("cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_says_where_it_looked() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = directory.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        let missing = directory.path().join("missing");
        let text = file("text", b"text");
        let image = file("image", b"\x7fELF");
        let sources = look_for(vec![missing, text, image, "/unseen".into()]);
        assert_eq!(sources.len(), 3);
        assert_eq!(sources[0].state, DebugState::Missing);
        assert!(matches!(sources[1].state, DebugState::Unusable(_)));
        assert_eq!(sources[2].state, DebugState::Used);
        assert!(sources[2].to_string().ends_with("image: used"));
    }

    #[test]
    fn a_broken_image_degrades_to_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vmlinux");
        fs::write(&path, b"\x7fELF and nothing else").unwrap();
        let info = DebugInfo::find(Some(path));
        assert!(info.place_of(0xffff_ffff_8100_0000, "iput").is_none());
    }
}
