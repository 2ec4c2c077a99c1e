//! The kernel's own description of its types (BTF): where a field is, how large a type is.
//!
//! Format: Documentation/bpf/btf.rst and include/uapi/linux/btf.h. The parser keeps the raw
//! bytes and an index, and resolves the few dozen fields that are needed; crates that
//! build the whole graph of some 150,000 types cost most of the start-up time.

use std::{fs, path::Path};

use thiserror::Error;

/// Where the running kernel describes itself.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

const MAGIC: u16 = 0xeb9f;
const HEADER_LEN: usize = 24;
/// Types nest and alias; a longer chain than this is a loop.
const DEPTH_MAX: u32 = 64;

/// Elements of an array that are looked into.
const ELEMENTS_MAX: u32 = 8;
/// Members that are looked at in search of one field, or of fields of a type; `struct inode` has
/// about 200. Structures that contain themselves would take forever.
const STEPS_MAX: u32 = 1 << 14;

/// What can be wrong with a kernel's type information.
#[derive(Debug, Error)]
pub enum BtfError {
    /// There is none.
    #[error(
        "cannot read the kernel's type information {path}: {cause}; \
         the kernel needs CONFIG_DEBUG_INFO_BTF=y"
    )]
    Unreadable {
        /// The file.
        path: String,
        /// Why not.
        cause: std::io::Error,
    },
    /// It is not what it should be.
    #[error("the type information is malformed at byte {offset}: {what}")]
    Malformed {
        /// Where.
        offset: usize,
        /// What was expected.
        what: &'static str,
    },
    /// A type is missing.
    #[error("the kernel has no type `{0}`")]
    NoType(String),
    /// A field is missing.
    #[error("the kernel's `{0}` has no field `{1}`")]
    NoField(String, String),
}

/// The kinds of types that matter here, by their number in the format.
mod kind {
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNC: u32 = 12;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

/// Where a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Bits from the beginning of the outermost type.
    pub bit_offset: u32,
    /// Width in bits if it is a bit field, else 0.
    pub bit_width: u32,
    /// Its type.
    type_id: u32,
}

impl Field {
    /// Bytes from the beginning of the outermost type.
    #[must_use]
    pub const fn offset(self) -> u32 {
        self.bit_offset / 8
    }
}

/// The header of one type: `struct btf_type`, with its union of size and type.
#[derive(Clone, Copy)]
struct Type {
    /// Where in the data the kind's own part begins.
    body: usize,
    name: u32,
    kind: u32,
    count: u32,
    /// Bit fields among the members.
    flag: bool,
    size_or_target: u32,
}

/// A member of a struct or union.
struct Member<'a> {
    name: &'a [u8],
    field: Field,
}

/// A kernel's types.
pub struct Btf {
    data: Vec<u8>,
    /// Byte of each type's header, by type id; id 0 is `void`.
    types: Vec<u32>,
    strings: std::ops::Range<usize>,
}

impl Btf {
    /// Reads the running kernel's types.
    ///
    /// # Errors
    /// If there are none, or they are malformed.
    pub fn from_kernel() -> Result<Self, BtfError> {
        Self::from_file(Path::new(VMLINUX))
    }

    /// Reads the types in `path`.
    ///
    /// # Errors
    /// If the file cannot be read, or is malformed.
    pub fn from_file(path: &Path) -> Result<Self, BtfError> {
        let data = fs::read(path).map_err(|cause| BtfError::Unreadable {
            path: path.display().to_string(),
            cause,
        })?;
        Self::parse(data)
    }

    /// Parses raw type information, little endian as on every machine that is supported.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn parse(data: Vec<u8>) -> Result<Self, BtfError> {
        let malformed = |offset, what| BtfError::Malformed { offset, what };
        let magic = data
            .first_chunk::<2>()
            .map(|bytes| u16::from_le_bytes(*bytes))
            .ok_or(malformed(0, "a header"))?;
        if magic != MAGIC {
            return Err(malformed(0, "the magic number of BTF"));
        }
        let header = |at| word(&data, at).ok_or(malformed(at, "a header"));
        let base = header(4)? as usize;
        if base < HEADER_LEN {
            return Err(malformed(4, "a header's length"));
        }
        let section = |offset_at, length_at, what| {
            let start = base.checked_add(header(offset_at)? as usize);
            let end = start.and_then(|start| {
                header(length_at)
                    .ok()
                    .and_then(|length| start.checked_add(length as usize))
            });
            match (start, end) {
                (Some(start), Some(end)) if end <= data.len() => Ok(start..end),
                _ => Err(malformed(offset_at, what)),
            }
        };
        let type_section = section(8, 12, "a type section")?;
        let strings = section(16, 20, "a string section")?;

        let mut types = vec![0];
        let mut at = type_section.start;
        while at < type_section.end {
            types.push(u32::try_from(at).map_err(|_| malformed(at, "less than 4 GiB"))?);
            let header = header_at(&data, at).ok_or(malformed(at, "a type's header"))?;
            let length = body_length(header.kind, header.count)
                .ok_or(malformed(at, "a kind of type that is known"))?;
            at = header.body + length;
        }
        if at != type_section.end {
            return Err(malformed(at, "the end of the type section"));
        }
        Ok(Self {
            data,
            types,
            strings,
        })
    }

    /// Where the field `path` of struct or union `name` is; `path` names nested fields with
    /// dots (`rwbase.rtmutex.owner`), and looks into anonymous members by itself.
    ///
    /// # Errors
    /// If there is no such type or field.
    pub fn field(&self, name: &str, path: &str) -> Result<Field, BtfError> {
        let outer = self
            .find(name, &[kind::STRUCT, kind::UNION])
            .ok_or_else(|| BtfError::NoType(name.to_owned()))?;
        let mut found = Field {
            bit_offset: 0,
            bit_width: 0,
            type_id: outer,
        };
        for part in path.split('.') {
            let inner = self
                .member(found.type_id, part, DEPTH_MAX, &mut { STEPS_MAX })
                .ok_or_else(|| BtfError::NoField(name.to_owned(), path.to_owned()))?;
            found = Field {
                bit_offset: found.bit_offset.saturating_add(inner.bit_offset),
                ..inner
            };
        }
        Ok(found)
    }

    /// Size in bytes of a field's type; 0 if it has none.
    #[must_use]
    pub fn size_of_field(&self, field: Field) -> u32 {
        self.size(field.type_id, DEPTH_MAX)
    }

    /// Size in bytes of struct or union `name`.
    ///
    /// # Errors
    /// If there is no such type.
    pub fn size_of(&self, name: &str) -> Result<u32, BtfError> {
        self.find(name, &[kind::STRUCT, kind::UNION])
            .and_then(|id| self.header(id))
            .map(|header| header.size_or_target)
            .ok_or_else(|| BtfError::NoType(name.to_owned()))
    }

    /// The value of the enumerator `name`, whatever its enumeration is called.
    #[must_use]
    pub fn enumerator(&self, name: &str) -> Option<u64> {
        let name_offsets = self.offsets_of(name);
        self.ids().find_map(|id| {
            let header = self.header(id)?;
            let stride = match header.kind {
                kind::ENUM => 8,
                kind::ENUM64 => 12,
                _ => return None,
            };
            (0..header.count as usize).find_map(|index| {
                let at = header.body + index * stride;
                if name_offsets.binary_search(&word(&self.data, at)?).is_err() {
                    return None;
                }
                let low = u64::from(word(&self.data, at + 4)?);
                let high = if stride == 12 {
                    word(&self.data, at + 8)?
                } else {
                    0
                };
                Some(u64::from(high) << 32 | low)
            })
        })
    }

    /// Whether the kernel describes the function `name`, as a trampoline needs.
    #[must_use]
    pub fn has_function(&self, name: &str) -> bool {
        self.function_id(name).is_some()
    }

    /// The number of the function `name` among the kernel's types, by which programs call it.
    #[must_use]
    pub fn function_id(&self, name: &str) -> Option<u32> {
        self.find(name, &[kind::FUNC])
    }

    /// The number of the struct `name` among the kernel's types.
    #[must_use]
    pub fn struct_id(&self, name: &str) -> Option<u32> {
        self.find(name, &[kind::STRUCT])
    }

    /// The fields of the struct `outer` whose type is one of the structs `wanted`, with their
    /// offsets in bytes: those inside of nested structs and arrays, too.
    #[must_use]
    pub fn fields_of_types(&self, outer: &str, wanted: &[&str]) -> Vec<(u32, String)> {
        let mut found = Vec::new();
        let start = self.find(outer, &[kind::STRUCT]);
        let mut open: Vec<(u32, u32, String)> =
            start.map(|id| (id, 0, String::new())).into_iter().collect();
        // Types that contain themselves would never end.
        for _ in 0..STEPS_MAX {
            let Some((id, offset, path)) = open.pop() else {
                break;
            };
            let Some(header) = self.unaliased(id, DEPTH_MAX).and_then(|id| self.header(id)) else {
                continue;
            };
            let name = self.name_at(header.name).unwrap_or_default();
            match header.kind {
                kind::STRUCT if wanted.iter().any(|wanted| wanted.as_bytes() == name) => {
                    found.push((offset, path));
                }
                kind::STRUCT | kind::UNION => open.extend(self.members(&header).map(|member| {
                    let dot = if path.is_empty() || member.name.is_empty() {
                        ""
                    } else {
                        "."
                    };
                    (
                        member.field.type_id,
                        offset.saturating_add(member.field.offset()),
                        format!("{path}{dot}{}", String::from_utf8_lossy(member.name)),
                    )
                })),
                kind::ARRAY => {
                    let element = word(&self.data, header.body).unwrap_or(0);
                    let count = word(&self.data, header.body + 8).unwrap_or(0);
                    let size = self.size(element, DEPTH_MAX);
                    open.extend((0..count.min(ELEMENTS_MAX)).map(|index| {
                        let at = offset.saturating_add(index.saturating_mul(size));
                        (element, at, format!("{path}[{index}]"))
                    }));
                }
                _ => {}
            }
        }
        found.sort();
        found
    }

    fn ids(&self) -> impl Iterator<Item = u32> {
        1..u32::try_from(self.types.len()).unwrap_or(u32::MAX)
    }

    fn header(&self, id: u32) -> Option<Type> {
        if id == 0 {
            return None;
        }
        header_at(&self.data, *self.types.get(id as usize)? as usize)
    }

    /// Every place in the string section that reads `name`, in order: strings are unique there,
    /// but a name may also be the tail of another.
    fn offsets_of(&self, name: &str) -> Vec<u32> {
        let strings = &self.data[self.strings.clone()];
        let mut wanted = name.as_bytes().to_vec();
        wanted.push(0);
        memchr::memmem::find_iter(strings, &wanted)
            .filter_map(|at| u32::try_from(at).ok())
            .collect()
    }

    fn find(&self, name: &str, kinds: &[u32]) -> Option<u32> {
        let name_offsets = self.offsets_of(name);
        self.ids().find(|id| {
            self.header(*id).is_some_and(|header| {
                kinds.contains(&header.kind) && name_offsets.binary_search(&header.name).is_ok()
            })
        })
    }

    fn name_at(&self, offset: u32) -> Option<&[u8]> {
        let strings = &self.data[self.strings.clone()];
        let rest = strings.get(offset as usize..)?;
        Some(&rest[..memchr::memchr(0, rest)?])
    }

    /// The member `name` of a struct or union, anonymous members searched too.
    fn member(&self, id: u32, name: &str, depth: u32, steps: &mut u32) -> Option<Field> {
        let depth = depth.checked_sub(1)?;
        let header = self.header(self.unaliased(id, depth)?)?;
        if header.kind != kind::STRUCT && header.kind != kind::UNION {
            return None;
        }
        self.members(&header).find_map(|member| {
            *steps = steps.checked_sub(1)?;
            if member.name == name.as_bytes() {
                return Some(member.field);
            }
            if !member.name.is_empty() {
                return None;
            }
            let inner = self.member(member.field.type_id, name, depth, steps)?;
            Some(Field {
                bit_offset: member.field.bit_offset.saturating_add(inner.bit_offset),
                ..inner
            })
        })
    }

    /// The members of a struct or union; the name of an anonymous one is empty.
    fn members(&self, header: &Type) -> impl Iterator<Item = Member<'_>> {
        let Type {
            body, count, flag, ..
        } = *header;
        (0..count as usize).filter_map(move |index| {
            let at = body + index * 12;
            let raw = word(&self.data, at + 8)?;
            let (bit_offset, bit_width) = if flag {
                (raw & 0x00ff_ffff, raw >> 24)
            } else {
                (raw, 0)
            };
            Some(Member {
                name: self.name_at(word(&self.data, at)?)?,
                field: Field {
                    bit_offset,
                    bit_width,
                    type_id: word(&self.data, at + 4)?,
                },
            })
        })
    }

    /// The type behind typedefs and qualifiers.
    fn unaliased(&self, mut id: u32, depth: u32) -> Option<u32> {
        for _ in 0..depth {
            let header = self.header(id)?;
            match header.kind {
                kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG => {
                    id = header.size_or_target;
                }
                _ => return Some(id),
            }
        }
        None
    }

    fn size(&self, id: u32, depth: u32) -> u32 {
        let Some(depth) = depth.checked_sub(1) else {
            return 0;
        };
        let Some(header) = self.unaliased(id, depth).and_then(|id| self.header(id)) else {
            return 0;
        };
        match header.kind {
            // A pointer has no size of its own in the format.
            2 => 8,
            kind::ARRAY => {
                let element = word(&self.data, header.body).unwrap_or(0);
                let count = word(&self.data, header.body + 8).unwrap_or(0);
                self.size(element, depth).saturating_mul(count)
            }
            _ => header.size_or_target,
        }
    }
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn header_at(data: &[u8], at: usize) -> Option<Type> {
    let info = word(data, at + 4)?;
    Some(Type {
        body: at + 12,
        name: word(data, at)?,
        kind: (info >> 24) & 0x1f,
        count: info & 0xffff,
        flag: info >> 31 != 0,
        size_or_target: word(data, at + 8)?,
    })
}

/// Bytes that follow the header of a type, by kind (`btf_kind_operations`,
/// kernel/bpf/btf.c).
fn body_length(kind: u32, count: u32) -> Option<usize> {
    let count = count as usize;
    match kind {
        // Pointers, forwards, aliases, functions, floats and type tags have nothing.
        2 | 7..=12 | 16 | 18 => Some(0),
        // Integers, variables and declaration tags have one word.
        1 | 14 | 17 => Some(4),
        kind::ARRAY => Some(12),
        kind::STRUCT | kind::UNION | 15 | kind::ENUM64 => Some(12 * count),
        kind::ENUM | 13 => Some(8 * count),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
