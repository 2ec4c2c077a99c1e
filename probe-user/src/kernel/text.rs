//! The machine code of the running kernel and its modules, read through `/proc/kcore`.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use probe_common::AddressRange;

/// The kernel's memory as an ELF core file.
const KCORE: &str = "/proc/kcore";

/// Why the code is not known.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// The file could not be read.
    #[error(
        "cannot read the kernel's text from {KCORE}: {0}; it needs CONFIG_PROC_KCORE=y, \
         CAP_SYS_RAWIO and a kernel that is not in lockdown mode `confidentiality`"
    )]
    Read(#[from] io::Error),
    /// The file has another shape than expected.
    #[error("{KCORE} is no ELF core file that has the kernel's text")]
    Format,
}

/// The code, open for reading.
#[derive(Debug)]
pub struct KernelText<F = File> {
    file: F,
    segments: Vec<elf::Segment>,
}

impl KernelText {
    /// Opens it.
    ///
    /// # Errors
    /// If the kernel does not show it, or not to this caller.
    pub fn open() -> Result<Self, TextError> {
        Self::of(File::open(KCORE)?)
    }
}

impl<F: Read + Seek> KernelText<F> {
    /// The code in a core file, whose list of segments is read once.
    fn of(mut file: F) -> Result<Self, TextError> {
        let mut header = [0; elf::HEADER_LEN];
        file.read_exact(&mut header)?;
        let table = elf::program_headers(&header).ok_or(TextError::Format)?;
        file.seek(SeekFrom::Start(table.offset))?;
        let mut entries = vec![0; table.len];
        file.read_exact(&mut entries)?;
        Ok(Self {
            file,
            segments: elf::segments(&entries, table.entry_len),
        })
    }

    /// The code at these addresses.
    ///
    /// # Errors
    /// If it cannot be read, or no loaded part of the kernel has all of it.
    pub fn read(&mut self, addresses: AddressRange) -> Result<Vec<u8>, TextError> {
        let segment = self
            .segments
            .iter()
            .find(|segment| segment.start <= addresses.start && addresses.end <= segment.end)
            .ok_or(TextError::Format)?;
        let offset = segment
            .offset
            .checked_add(addresses.start - segment.start)
            .ok_or(TextError::Format)?;
        let len = addresses.end.saturating_sub(addresses.start);
        let mut code = vec![0; usize::try_from(len).map_err(|_| TextError::Format)?];
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(&mut code)?;
        Ok(code)
    }

    /// What the call instruction before a return address calls; `None` if that is not a direct
    /// call, or cannot be read. A function that ends in a jump leaves no frame, but it was called.
    pub fn callee(&mut self, return_address: u64) -> Option<u64> {
        let start = return_address.checked_sub(CALL_LEN)?;
        let code = self
            .read(AddressRange {
                start,
                end: return_address,
            })
            .ok()?;
        callee(&code, return_address)
    }
}

/// Length of `call rel32`.
const CALL_LEN: u64 = 5;

/// The target of the `call rel32` (E8) that `code` is, and which ends at `return_address`.
fn callee(code: &[u8], return_address: u64) -> Option<u64> {
    let (&opcode, displacement) = code.split_first()?;
    if !cfg!(target_arch = "x86_64") || opcode != 0xe8 {
        return None;
    }
    Some(target(displacement.try_into().ok()?, return_address))
}

/// Where a direct transfer goes: its displacement counts from the instruction after it.
pub(super) fn target(displacement: [u8; 4], next: u64) -> u64 {
    next.wrapping_add_signed(i64::from(i32::from_le_bytes(displacement)))
}

/// As much of ELF64 (little-endian) as a core file needs; figures from elf(5).
mod elf {
    /// Size of the file header.
    pub const HEADER_LEN: usize = 64;

    /// Where the program headers are.
    pub struct Table {
        pub offset: u64,
        pub entry_len: usize,
        pub len: usize,
    }

    fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
        Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
    }

    fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
    }

    fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
        Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
    }

    /// Reads the file header.
    pub fn program_headers(header: &[u8; HEADER_LEN]) -> Option<Table> {
        const MAGIC_CLASS64_LITTLE: &[u8] = b"\x7fELF\x02\x01";
        const ENTRY_LEN_MIN: u16 = 56;
        if !header.starts_with(MAGIC_CLASS64_LITTLE) {
            return None;
        }
        let entry_len = u16_at(header, 54).filter(|len| *len >= ENTRY_LEN_MIN)?;
        let count = u16_at(header, 56)?;
        Some(Table {
            offset: u64_at(header, 32)?,
            entry_len: usize::from(entry_len),
            len: usize::from(entry_len) * usize::from(count),
        })
    }

    /// A part of memory that the file has.
    #[derive(Debug)]
    pub struct Segment {
        pub start: u64,
        pub end: u64,
        pub offset: u64,
    }

    /// The loaded segments.
    pub fn segments(entries: &[u8], entry_len: usize) -> Vec<Segment> {
        const PT_LOAD: u32 = 1;
        entries
            .chunks_exact(entry_len)
            .filter(|entry| u32_at(entry, 0) == Some(PT_LOAD))
            .filter_map(|entry| {
                let start = u64_at(entry, 16)?;
                Some(Segment {
                    start,
                    end: start.checked_add(u64_at(entry, 40)?)?,
                    offset: u64_at(entry, 8)?,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const BASE: u64 = 0xffff_ffff_8100_0000;

    fn range(start: u64, end: u64) -> AddressRange {
        AddressRange {
            start: BASE + start,
            end: BASE + end,
        }
    }

    fn core(text: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 64 + 2 * 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32..40].copy_from_slice(&64u64.to_le_bytes());
        file[54..56].copy_from_slice(&56u16.to_le_bytes());
        file[56..58].copy_from_slice(&2u16.to_le_bytes());
        for (index, address) in [(0, 0xffff_8880_0000_0000), (1, BASE - 8)] {
            let header = &mut file[64 + index * 56..][..56];
            header[..4].copy_from_slice(&1u32.to_le_bytes());
            header[8..16].copy_from_slice(&200u64.to_le_bytes());
            header[16..24].copy_from_slice(&u64::to_le_bytes(address));
            header[40..48].copy_from_slice(&(text.len() as u64 + 8).to_le_bytes());
        }
        file.resize(208, 0);
        file.extend_from_slice(text);
        file
    }

    #[test]
    fn text_is_read_through_the_program_headers() {
        let file = core(b"code!");
        let text = range(0, 5);
        let read = |file: &[u8], addresses| KernelText::of(Cursor::new(file))?.read(addresses);
        assert_eq!(read(&file, text).unwrap(), b"code!");
        assert!(matches!(read(&file, range(0, 6)), Err(TextError::Format)));
        assert!(matches!(read(b"\x7fELF", text), Err(TextError::Read(_))));
        assert!(matches!(read(&[0; 64], text), Err(TextError::Format)));
    }

    #[test]
    fn only_a_direct_call_has_a_callee() {
        let called = |code: &[u8]| callee(code, BASE);
        assert_eq!(called(&[0xe8, 0x10, 0, 0, 0]), Some(BASE + 0x10));
        assert_eq!(called(&[0xe8, 0xfb, 0xff, 0xff, 0xff]), Some(BASE - 5));
        assert_eq!(called(&[0xe9, 0x10, 0, 0, 0]), None);
        assert_eq!(called(&[0xe8, 0x10]), None);
        assert_eq!(called(&[]), None);
    }
}
