//! Tests of reading types: small ones made by hand, and damaged ones.

use super::*;

/// Builds type information by hand.
struct Builder {
    types: Vec<u8>,
    strings: Vec<u8>,
}

impl Builder {
    fn new() -> Self {
        Self {
            types: Vec::new(),
            strings: vec![0],
        }
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = u32::try_from(self.strings.len()).unwrap();
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        at
    }

    fn header(&mut self, name: &str, kind: u32, flag: bool, count: u32, size_or_target: u32) {
        let name = self.name(name);
        let info = u32::from(flag) << 31 | kind << 24 | count;
        self.words(&[name, info, size_or_target]);
    }

    fn words(&mut self, words: &[u32]) {
        for word in words {
            self.types.extend(word.to_le_bytes());
        }
    }

    fn member(&mut self, name: &str, type_id: u32, offset: u32) {
        let name = self.name(name);
        self.words(&[name, type_id, offset]);
    }

    fn finish(self) -> Vec<u8> {
        let mut data = Vec::new();
        data.extend(MAGIC.to_le_bytes());
        data.extend([1, 0]);
        let types = u32::try_from(self.types.len()).unwrap();
        let strings = u32::try_from(self.strings.len()).unwrap();
        for word in [24, 0, types, types, strings] {
            data.extend(u32::to_le_bytes(word));
        }
        data.extend(self.types);
        data.extend(self.strings);
        data
    }
}

fn sample() -> Vec<u8> {
    let mut builder = Builder::new();
    builder.header("int", 1, false, 0, 4); // 1
    builder.words(&[32]);
    builder.header("inner", kind::STRUCT, false, 1, 4); // 2
    builder.member("counter", 1, 0);
    builder.header("inner_t", kind::TYPEDEF, false, 0, 2); // 3
    builder.header("", kind::UNION, false, 1, 4); // 4
    builder.member("hidden", 1, 0);
    builder.header("outer", kind::STRUCT, true, 3, 16); // 5
    builder.member("count", 3, 32);
    builder.member("", 4, 64);
    builder.member("bits", 1, (5 << 24) + 99);
    builder.header("states", kind::ENUM, false, 1, 4); // 6
    let name = builder.name("I_SYNC");
    builder.words(&[name, 2]);
    builder.finish()
}

#[test]
fn fields_are_found_through_typedefs_and_anonymous_members() {
    let btf = Btf::parse(sample()).unwrap();
    assert_eq!(btf.field("outer", "count").unwrap().offset(), 4);
    assert_eq!(btf.field("outer", "count.counter").unwrap().offset(), 4);
    assert_eq!(btf.field("outer", "hidden").unwrap().offset(), 8);
    let bits = btf.field("outer", "bits").unwrap();
    assert_eq!((bits.bit_offset, bits.bit_width), (99, 5));
    assert_eq!(btf.size_of("outer").unwrap(), 16);
    assert_eq!(btf.size_of_field(btf.field("outer", "count").unwrap()), 4);
    assert_eq!(btf.enumerator("I_SYNC"), Some(2));
    assert_eq!(btf.enumerator("I_NEW"), None);
    let inner = btf.fields_of_types("outer", &["inner"]);
    assert_eq!(inner, [(4, "count".to_owned())]);
}

#[test]
fn what_is_missing_is_named() {
    let btf = Btf::parse(sample()).unwrap();
    let missing = btf.field("outer", "nothing").unwrap_err().to_string();
    assert_eq!(missing, "the kernel's `outer` has no field `nothing`");
    let missing = btf.field("nowhere", "x").unwrap_err().to_string();
    assert_eq!(missing, "the kernel has no type `nowhere`");
}

#[test]
fn every_truncation_is_an_error_or_harmless() {
    let data = sample();
    for length in 0..data.len() {
        if let Ok(btf) = Btf::parse(data[..length].to_vec()) {
            let _ = btf.field("outer", "count.counter");
        }
    }
}

proptest::proptest! {
    #[test]
    fn damaged_input_never_panics(position in 0usize..200, value: u8) {
        let mut data = sample();
        let position = position % data.len();
        data[position] = value;
        if let Ok(btf) = Btf::parse(data) {
            let _ = btf.field("outer", "count.counter");
            let _ = btf.enumerator("I_SYNC");
            let _ = btf.size_of("outer");
            let _ = btf.fields_of_types("outer", &["inner"]);
        }
    }
}
