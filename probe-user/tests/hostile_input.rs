//! What is read of the kernel and of its configuration may be anything at all: nothing panics, and
//! nothing takes forever. (Reports and suppressions: `reports.rs`, and the tests beside their code.)
//!
//! `PROPTEST_CASES` sets how many inputs of each kind are tried; each test prints the number.

#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use lastref::kernel::btf::Btf;
use lastref::kernel::config::KernelConfig;
use lastref::kernel::symbols::{self, Symbols};
use lastref::symbol::thread_stack;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;

/// Numbers at which arithmetic goes wrong.
const EDGES: [u32; 10] = [
    0,
    1,
    0x7f,
    0xffff,
    0x1_0000,
    0x0400_ffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    u32::MAX,
];

/// Tries many inputs and prints how many.
fn try_many<S: Strategy>(what: &str, strategy: &S, test: impl Fn(S::Value)) {
    let tried = AtomicU32::new(0);
    let mut runner = TestRunner::default();
    runner
        .run(strategy, |input| {
            tried.fetch_add(1, Ordering::Relaxed);
            test(input);
            Ok(())
        })
        .unwrap();
    println!("{what}: {} inputs tried", tried.into_inner());
}

/// Type information with a structure, an anonymous union in it, an array, an alias and an
/// enumeration: header, types, strings.
fn type_information() -> Vec<u8> {
    const STRINGS: &[u8] = b"\0inode\0i_count\0i_ino\0number\0state\0I_SYNC\0";
    let kind = |kind: u32, count: u32| kind << 24 | count;
    let at = |name: &str| -> u32 {
        let wanted = [name.as_bytes(), b"\0"].concat();
        let found = STRINGS
            .windows(wanted.len())
            .position(|part| part == wanted);
        u32::try_from(found.unwrap()).unwrap()
    };
    let words: Vec<u32> = [
        // 1: an integer.
        vec![at("number"), kind(1, 0), 4, 32],
        // 2: an alias of it.
        vec![at("state"), kind(8, 0), 1],
        // 3: three of it.
        vec![0, kind(3, 0), 0, 1, 1, 3],
        // 4: an anonymous union.
        vec![0, kind(5, 2), 12, at("i_ino"), 2, 0, at("number"), 3, 0],
        // 5: the structure.
        vec![at("inode"), kind(4, 2), 16, at("i_count"), 1, 0, 0, 4, 32],
        // 6: an enumeration.
        vec![at("state"), kind(6, 1), 4, at("I_SYNC"), 2],
    ]
    .concat();
    let types: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let lengths = (
        u32::try_from(types.len()).unwrap(),
        u32::try_from(STRINGS.len()).unwrap(),
    );
    let header = [0x0001_eb9f, 24, 0, lengths.0, lengths.0, lengths.1];
    let header = header.iter().flat_map(|word: &u32| word.to_le_bytes());
    header.chain(types).chain(STRINGS.iter().copied()).collect()
}

/// A seed with some of its words replaced, and cut short at times.
fn mutated(seed: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![select(EDGES.to_vec()), 0..64_u32, any::<u32>()];
    let changes = prop::collection::vec((any::<Index>(), word), 0..6);
    (changes, any::<Index>(), prop::bool::weighted(0.1)).prop_map(move |(changes, cut, is_cut)| {
        let mut data = seed.clone();
        for (index, word) in changes {
            let at = index.index(data.len() / 4) * 4;
            data[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        if is_cut {
            data.truncate(cut.index(data.len()));
        }
        data
    })
}

fn look_into(data: Vec<u8>) {
    let Ok(btf) = Btf::parse(data) else { return };
    for path in ["i_count", "i_ino", "number", "i_ino.number", "none"] {
        if let Ok(field) = btf.field("inode", path) {
            black_box(btf.size_of_field(field));
        }
    }
    let _ = black_box(btf.size_of("inode"));
    black_box((btf.enumerator("I_SYNC"), btf.struct_id("inode")));
    black_box(btf.fields_of_types("inode", &["state", "inode"]));
}

#[test]
fn the_seed_is_type_information() {
    let btf = Btf::parse(type_information()).unwrap();
    assert_eq!(btf.field("inode", "i_ino").unwrap().offset(), 4);
    assert_eq!(btf.enumerator("I_SYNC"), Some(2));
}

#[test]
fn type_information_may_be_anything() {
    let inputs = prop_oneof![
        4 => mutated(type_information()),
        1 => prop::collection::vec(any::<u8>(), 0..512),
    ];
    try_many("type information", &inputs, look_into);
}

/// A structure of which each member is such a structure again, without a name: looked through one
/// by one they would be 30 to the power of 64.
#[test]
fn structures_within_themselves_end() {
    const MEMBERS: u32 = 30;
    let mut words = vec![1, 4 << 24 | MEMBERS, 4];
    words.extend((0..MEMBERS).flat_map(|_| [0, 1, 0]));
    let types: Vec<u8> = words
        .iter()
        .flat_map(|word: &u32| word.to_le_bytes())
        .collect();
    let length = u32::try_from(types.len()).unwrap();
    let header = [0x0001_eb9f_u32, 24, 0, length, length, 7];
    let header = header.iter().flat_map(|word| word.to_le_bytes());
    look_into(header.chain(types).chain(*b"\0inode\0").collect());
}

#[test]
fn symbols_may_be_anything() {
    let address = prop_oneof![
        select(vec![
            "0",
            "ffffffffffffffff",
            "fffffffffffffffe",
            "ffffffff81000000",
            "1ffffffffffffffff",
            "",
            "x",
        ])
        .prop_map(String::from),
        any::<u64>().prop_map(|address| format!("{address:x}")),
    ];
    let name = select(vec![
        "iput",
        "iput.cold",
        "evict.part.0.cold",
        ".",
        "",
        "a.llvm.1",
    ]);
    let module = prop_oneof![Just(String::new()), "\t\\[?[a-z.\\[]{0,4}\\]?"];
    let kind = select(vec!["t", "T", "d", "", "\u{e9}"]);
    let line = (address, kind, name, module)
        .prop_map(|(address, kind, name, module)| format!("{address} {kind} {name}{module}\n"));
    let inputs = prop_oneof![
        4 => prop::collection::vec(line, 0..24).prop_map(|lines| lines.concat()),
        1 => ".{0,200}",
    ];
    try_many("symbols", &inputs, |text: String| {
        let Ok(symbols) = Symbols::parse(&text) else {
            return;
        };
        for name in ["iput", "evict", "", "."] {
            black_box((symbols.address(name), symbols.addresses(name)));
            black_box((symbols.ranges(name), symbols::plain_name(name)));
        }
        for address in [0, 1, u64::MAX - 1, u64::MAX, 0xffff_ffff_8100_0000] {
            black_box((symbols.function_at(address), symbols.variable_at(address)));
        }
    });
}

#[test]
fn a_symbol_may_be_at_the_very_end() {
    let symbols = Symbols::parse("ffffffffffffffff t iput\n").unwrap();
    assert_eq!(symbols.ranges("iput").len(), 1);
}

#[test]
fn configurations_may_be_anything() {
    let line = "(# )?(CONFIG_)?[A-Z_]{0,12}(=[ymn\"0-9]{0,3}| is not set)?\n";
    let version = "# Linux/?[a-z0-9_]{0,4} [0-9.]{0,20} Kernel Configuration\n";
    let inputs = prop_oneof![
        4 => prop::collection::vec(prop_oneof![line, version], 0..12)
            .prop_map(|lines| lines.concat()),
        1 => ".{0,200}",
    ];
    try_many("configurations", &inputs, |text: String| {
        if let Some(config) = KernelConfig::parse(&text) {
            black_box((config.is_set("CONFIG_BPF"), config.contradictions().count()));
            black_box((config.release(), config.version()));
        }
    });
}

#[test]
fn stacks_may_be_anything() {
    let line = prop_oneof![
        4 => "(iput|evict|\\(unknown\\)|bpf_trampoline_1)?\\+?(0x)?[0-9a-f]{0,20}/?(0x)?[0-9a-f]{0,20}( \\[[a-z]{0,4}\\]?)?",
        1 => ".{0,60}",
    ];
    let inputs = prop::collection::vec(line, 0..12);
    try_many("stacks", &inputs, |stack: Vec<String>| {
        for inner in 0..=stack.len() {
            black_box(thread_stack::frames_outside(&stack, inner));
            black_box(thread_stack::called_by(&stack, inner));
        }
        black_box(thread_stack::calls_of(&stack, "iput"));
    });
}
