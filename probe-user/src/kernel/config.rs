//! A kernel's configuration: the `.config` that it was, or is to be, built with.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read},
    path::Path,
};

use flate2::read::MultiGzDecoder;

/// No configuration is longer, unpacked: those of distributions have 300 KB.
const SIZE_MAX: u64 = 16 << 20;
/// The first bytes of a gzip file (RFC 1952), such as `/proc/config.gz`.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// The name that stands for standard input.
const STDIN: &str = "-";

/// Why a file is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It could not be read, or not be unpacked.
    #[error("cannot read the kernel configuration {0}: {1}")]
    Read(String, #[source] io::Error),
    /// It goes on and on.
    #[error("{0} is longer than any kernel configuration (16 MiB); name a .config")]
    TooLong(String),
    /// It is something else.
    #[error(
        "{0} is no kernel configuration: no line in it is CONFIG_…=… or `# CONFIG_… is not set`; \
         name a .config, /proc/config.gz or /boot/config-*"
    )]
    Foreign(String),
}

/// Major and minor number of a kernel's version.
pub type Version = (u32, u32);

/// What a kernel was configured to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelConfig {
    release: Option<String>,
    values: BTreeMap<String, String>,
    contradictions: BTreeSet<String>,
}

impl KernelConfig {
    /// Reads the file at `path`, packed by gzip or not; `-` is standard input.
    ///
    /// # Errors
    /// If it cannot be read, or is no configuration.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let bytes = if path == Path::new(STDIN) {
            unpacked(io::stdin().lock())
        } else {
            File::open(path).and_then(unpacked)
        };
        let bytes = bytes.map_err(|source| ConfigError::Read(name.clone(), source))?;
        let Some(bytes) = bytes else {
            return Err(ConfigError::TooLong(name));
        };
        Self::parse(&String::from_utf8_lossy(&bytes)).ok_or(ConfigError::Foreign(name))
    }

    /// Reads a configuration as Kconfig does (`conf_read_simple()`, scripts/kconfig/confdata.c): of
    /// several lines for one option the last one counts, and what is no option is passed over.
    /// `None` if nothing in it is an option.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut config = Self::default();
        let mut options = 0_usize;
        for line in text.lines() {
            if let Some((name, value)) = option(line) {
                options += 1;
                let previous = config.values.insert(name.to_owned(), value.to_owned());
                if previous.is_some_and(|previous| previous != value) {
                    config.contradictions.insert(name.to_owned());
                }
            } else if config.release.is_none() {
                config.release = release(line);
            }
        }
        (options > 0).then_some(config)
    }

    /// Whether the option `name` (without `CONFIG_`) is built in.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|value| value == "y")
    }

    /// Options that several lines set to different values; the last one counts.
    pub fn contradictions(&self) -> impl Iterator<Item = &str> {
        self.contradictions.iter().map(String::as_str)
    }

    /// The kernel's release, as the file's head has it; `None` for a file without its head.
    #[must_use]
    pub fn release(&self) -> Option<&str> {
        self.release.as_deref()
    }

    /// The kernel's version, as the file's head has it.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        let mut numbers = self.release()?.split(['.', '-']);
        let mut number = || numbers.next()?.parse().ok();
        Some((number()?, number()?))
    }
}

/// All of `source`, unpacked if it is packed; `None` if that is too long.
fn unpacked(mut source: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    source
        .by_ref()
        .take(GZIP.len() as u64)
        .read_to_end(&mut head)?;
    let packed = head == GZIP;
    let whole = io::Cursor::new(head).chain(source);
    if packed {
        bounded(MultiGzDecoder::new(whole))
    } else {
        bounded(whole)
    }
}

fn bounded(source: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    source.take(SIZE_MAX + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= SIZE_MAX).then_some(bytes))
}

/// The option that a line is for, and its value.
fn option(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_end();
    let (name, value) = match line.strip_prefix("# CONFIG_") {
        Some(rest) => (rest.strip_suffix(" is not set")?, "n"),
        None => line.strip_prefix("CONFIG_")?.split_once('=')?,
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(is_name)).then_some((name, value))
}

/// The release in a head's line, `# Linux/x86 7.3.4 Kernel Configuration`.
fn release(line: &str) -> Option<String> {
    let rest = line.strip_prefix("# Linux/")?;
    let (_, release) = rest
        .strip_suffix(" Kernel Configuration")?
        .split_once(' ')?;
    Some(release.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::*;

    const CONFIG: &str = "#\n# Automatically generated file; DO NOT EDIT.\n\
        # Linux/x86 7.3.4 Kernel Configuration\n#\nCONFIG_BPF_SYSCALL=y\n\
        CONFIG_CC_VERSION_TEXT=\"gcc=14\"\n# CONFIG_PREEMPT is not set\nCONFIG_EXT4_FS=m\n";

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn options_are_read_packed_or_not() {
        let config = KernelConfig::parse(CONFIG).unwrap();
        assert!(config.is_set("BPF_SYSCALL"));
        for name in ["PREEMPT", "EXT4_FS", "BPF", "CC_VERSION_TEXT"] {
            assert!(!config.is_set(name), "{name}");
        }
        assert_eq!(config.release(), Some("7.3.4"));
        assert_eq!(config.version(), Some((7, 3)));
        assert_eq!(config.contradictions().count(), 0);
        for bytes in [CONFIG.as_bytes().to_vec(), packed(CONFIG.as_bytes())] {
            assert_eq!(KernelConfig::read(file(&bytes).path()).unwrap(), config);
        }
    }

    #[test]
    fn the_last_line_counts() {
        let text = "CONFIG_A=y\nCONFIG_B=y\n# CONFIG_A is not set\nCONFIG_B=y\n";
        let config = KernelConfig::parse(text).unwrap();
        assert!(!config.is_set("A"));
        assert!(config.is_set("B"));
        assert_eq!(config.contradictions().collect::<Vec<_>>(), ["A"]);
        assert_eq!(config.version(), None);
    }

    #[test]
    fn other_files_are_refused() {
        let read = |bytes: &[u8]| KernelConfig::read(file(bytes).path());
        for foreign in [
            b"".as_slice(),
            b"\x7fELF\0\0CONFIG_",
            b"config\n",
            b"\xff\xfe\n",
        ] {
            assert!(matches!(read(foreign), Err(ConfigError::Foreign(_))));
        }
        let endless = vec![b'\n'; usize::try_from(SIZE_MAX).unwrap() + 1];
        assert!(matches!(read(&endless), Err(ConfigError::TooLong(_))));
        let bomb = packed(&endless);
        assert!(bomb.len() < 1 << 20);
        assert!(matches!(read(&bomb), Err(ConfigError::TooLong(_))));
        let cut_short = &packed(CONFIG.as_bytes())[..40];
        assert!(matches!(read(cut_short), Err(ConfigError::Read(..))));
        assert!(matches!(
            KernelConfig::read(Path::new("/")),
            Err(ConfigError::Read(..))
        ));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            for bytes in [bytes.clone(), [GZIP, &bytes].concat(), [b"CONFIG_", &bytes[..]].concat()] {
                let _ = unpacked(&bytes[..])
                    .map(|bytes| KernelConfig::parse(&String::from_utf8_lossy(&bytes.unwrap())));
            }
        }
    }
}
