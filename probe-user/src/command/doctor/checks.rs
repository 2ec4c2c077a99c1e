//! The checks: what watching needs of this host and kernel, one table.

use lastref::kernel::btf::{Btf, BtfError};
use lastref::kernel::features::{self, AttachChoice};
use lastref::kernel::layout::{self, LayoutError, Need, Resolved};
use lastref::kernel::privileges::{self, CAPABILITIES, Lockdown, REMEDY_LOCKDOWN};
use lastref::kernel::symbols::{Symbols, SymbolsError};
use lastref::probe::ATTACH_POINTS;
use lastref::report::model::Attach;
use lastref::symbol::debug_info::{DebugInfo, DebugState};
use probe_common::{ABSENT, ALL_FACTS};
use serde::Serialize;

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is as it should be.
    Ok,
    /// It is not.
    Bad,
    /// It could not be found out.
    Unknown,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What it is about.
    pub group: &'static str,
    /// What was looked at.
    pub name: String,
    /// Whether watching is impossible without it.
    pub required: bool,
    /// What it came to.
    pub state: State,
    /// What was seen.
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    /// Something that is as it should be.
    pub fn ok(group: &'static str, name: &str, detail: impl Into<String>) -> Self {
        Self {
            group,
            name: name.to_owned(),
            required: false,
            state: State::Ok,
            detail: detail.into(),
            remedy: None,
        }
    }

    /// Something that is not.
    pub fn bad(
        group: &'static str,
        name: &str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let remedy = Some(remedy.into());
        Self {
            state: State::Bad,
            remedy,
            ..Self::ok(group, name, detail)
        }
    }

    /// Something that could not be found out.
    pub fn unknown(group: &'static str, name: &str, detail: impl Into<String>) -> Self {
        Self {
            state: State::Unknown,
            ..Self::ok(group, name, detail)
        }
    }

    /// The same, needed for everything.
    pub fn required(self) -> Self {
        self.required_if(true)
    }

    /// The same, needed for everything or not.
    pub fn required_if(self, required: bool) -> Self {
        Self { required, ..self }
    }

    fn with_remedy(self, remedy: &str) -> Self {
        Self {
            remedy: Some(remedy.to_owned()),
            ..self
        }
    }
}

/// Everything that was found out.
#[derive(Debug, Serialize)]
pub struct Diagnosis {
    /// `uname -r`.
    pub release: String,
    /// `uname -v`.
    pub version: String,
    /// `uname -m`.
    pub machine: String,
    /// Whether `lastref watch` can work here.
    pub watchable: bool,
    /// Every check.
    pub checks: Vec<Check>,
}

impl Diagnosis {
    /// Looks at the running kernel and this process.
    pub fn of_this_host() -> Self {
        let host = Host::new();
        Self::new(CHECKS.iter().flat_map(|check| check(&host)).collect())
    }

    /// What `checks` come to.
    pub fn new(checks: Vec<Check>) -> Self {
        let names = rustix::system::uname();
        Self {
            release: names.release().to_string_lossy().into_owned(),
            version: names.version().to_string_lossy().into_owned(),
            machine: names.machine().to_string_lossy().into_owned(),
            watchable: !checks.iter().any(is_obstacle),
            checks,
        }
    }

    /// What makes watching impossible.
    pub fn obstacles(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| is_obstacle(check))
    }
}

fn is_obstacle(check: &Check) -> bool {
    check.required && check.state == State::Bad
}

/// What the checks look at; read once.
struct Host {
    symbols: Result<Symbols, SymbolsError>,
    btf: Result<Btf, BtfError>,
    /// `None` where symbols or types are missing.
    resolved: Option<Result<Resolved, LayoutError>>,
    /// How probes would be attached, and why.
    attach: Option<(Attach, String)>,
}

impl Host {
    fn new() -> Self {
        let symbols = Symbols::from_kallsyms();
        let btf = Btf::from_kernel();
        let resolved = match (&btf, &symbols) {
            (Ok(btf), Ok(symbols)) => Some(layout::resolve(btf, symbols)),
            _ => None,
        };
        let attach = symbols
            .as_ref()
            .ok()
            .map(|symbols| features::choose_attach(AttachChoice::Auto, symbols));
        Self {
            symbols,
            btf,
            resolved,
            attach,
        }
    }

    fn is_attached_by(&self, wanted: Attach) -> bool {
        matches!(&self.attach, Some((attach, _)) if *attach == wanted)
    }

    fn resolved(&self) -> Option<&Resolved> {
        self.resolved.as_ref()?.as_ref().ok()
    }
}

const HOST: &str = "host";
const KERNEL: &str = "kernel";
const FUNCTIONS: &str = "functions";
const FIELDS: &str = "fields";
const FACTS: &str = "facts";

/// Every check, in the order of the report. A check looks at one thing, or at a list of its kind.
const CHECKS: &[fn(&Host) -> Vec<Check>] = &[
    capabilities,
    lockdown,
    kptr_restrict,
    perf_event_paranoid,
    symbols,
    types,
    bpf_tracing,
    ring_buffer,
    kprobes,
    fentry,
    attach,
    options,
    debug_information,
    functions,
    evict_callers,
    fields,
    facts,
];

fn capabilities(_: &Host) -> Vec<Check> {
    let effective = match privileges::effective_capabilities() {
        Ok(effective) => effective,
        Err(error) => return vec![Check::unknown(HOST, "capabilities", error.to_string())],
    };
    let check = |capability: &privileges::Capability| {
        let check = if capability.is_in(effective) {
            Check::ok(HOST, capability.name, capability.purpose)
        } else {
            let remedy = "run as root, outside of containers";
            Check::bad(HOST, capability.name, capability.purpose, remedy)
        };
        check.required_if(capability.required)
    };
    CAPABILITIES.iter().map(check).collect()
}

fn lockdown(_: &Host) -> Vec<Check> {
    const NAME: &str = "lockdown";
    let check = match privileges::lockdown() {
        Ok(Lockdown::Confidentiality) => {
            let detail = "confidentiality: BPF may not read kernel memory";
            Check::bad(HOST, NAME, detail, REMEDY_LOCKDOWN)
        }
        Ok(mode) => Check::ok(HOST, NAME, mode.to_string()),
        Err(error) => Check::unknown(HOST, NAME, error.to_string())
            .with_remedy("mount -t securityfs securityfs /sys/kernel/security"),
    };
    vec![check.required()]
}

fn kptr_restrict(host: &Host) -> Vec<Check> {
    const NAME: &str = "kptr_restrict";
    let value = privileges::setting("kernel.kptr_restrict");
    let detail = value.map_or_else(|| "not known".to_owned(), |value| value.to_string());
    vec![if matches!(host.symbols, Err(SymbolsError::Hidden)) {
        Check::bad(
            HOST,
            NAME,
            detail,
            "sysctl kernel.kptr_restrict=1, and run as root",
        )
        .required()
    } else {
        Check::ok(
            HOST,
            NAME,
            format!("{detail}; addresses are shown to lastref"),
        )
    }]
}

fn perf_event_paranoid(_: &Host) -> Vec<Check> {
    const NAME: &str = "perf_event_paranoid";
    let Some(value) = privileges::setting("kernel.perf_event_paranoid") else {
        let remedy = "use a kernel with CONFIG_PERF_EVENTS=y";
        return vec![Check::bad(HOST, NAME, "the kernel has no perf events", remedy).required()];
    };
    // perf_event_open() asks perfmon_capable() before it looks at the setting.
    vec![Check::ok(
        HOST,
        NAME,
        format!("{value}; no matter with CAP_PERFMON"),
    )]
}

fn symbols(host: &Host) -> Vec<Check> {
    const NAME: &str = "symbols (kallsyms)";
    vec![match &host.symbols {
        Ok(_) => Check::ok(KERNEL, NAME, "readable").required(),
        Err(error) => Check::bad(KERNEL, NAME, error.to_string(), "see there").required(),
    }]
}

fn types(host: &Host) -> Vec<Check> {
    const NAME: &str = "types (BTF)";
    vec![match &host.btf {
        Ok(_) => Check::ok(KERNEL, NAME, "/sys/kernel/btf/vmlinux").required(),
        Err(error) => {
            let remedy = "use a kernel with CONFIG_DEBUG_INFO_BTF=y, and mount sysfs at /sys";
            Check::bad(KERNEL, NAME, error.to_string(), remedy).required()
        }
    }]
}

/// A check of something that the symbols tell; none without them.
fn by_symbols(host: &Host, check: impl FnOnce(&Symbols) -> Check) -> Vec<Check> {
    host.symbols.as_ref().ok().map(check).into_iter().collect()
}

fn bpf_tracing(host: &Host) -> Vec<Check> {
    by_symbols(host, |symbols| {
        const NAME: &str = "BPF tracing";
        // kernel/trace/bpf_trace.c, built with CONFIG_BPF_EVENTS.
        if symbols.contains("perf_event_attach_bpf_prog") {
            Check::ok(KERNEL, NAME, "built in").required()
        } else {
            let remedy = "use a kernel with CONFIG_BPF_SYSCALL=y, CONFIG_KPROBE_EVENTS=y and so \
                          CONFIG_BPF_EVENTS=y";
            Check::bad(KERNEL, NAME, "not built in", remedy).required()
        }
    })
}

fn ring_buffer(host: &Host) -> Vec<Check> {
    by_symbols(host, |symbols| {
        const NAME: &str = "BPF ring buffer";
        if features::has_ring_buffer(symbols) {
            Check::ok(KERNEL, NAME, "built in").required()
        } else {
            let remedy = "use Linux 5.8 or newer, with CONFIG_BPF_SYSCALL=y";
            Check::bad(KERNEL, NAME, "not built in", remedy).required()
        }
    })
}

fn kprobes(host: &Host) -> Vec<Check> {
    by_symbols(host, |symbols| {
        const NAME: &str = "kprobes";
        let check = match features::kprobes(symbols) {
            Ok(()) => Check::ok(KERNEL, NAME, "usable"),
            Err((missing, remedy)) => Check::bad(KERNEL, NAME, missing, remedy),
        };
        check.required_if(host.is_attached_by(Attach::Kprobe))
    })
}

fn fentry(host: &Host) -> Vec<Check> {
    by_symbols(host, |symbols| {
        const NAME: &str = "fentry";
        let check = match features::fentry_obstacle(symbols) {
            None => Check::ok(KERNEL, NAME, "usable, and safe to detach"),
            Some(obstacle) => Check::bad(
                KERNEL,
                NAME,
                obstacle.reason(),
                "none needed where kprobes work",
            ),
        };
        check.required_if(host.is_attached_by(Attach::Fentry))
    })
}

fn attach(host: &Host) -> Vec<Check> {
    let Some((attach, reason)) = &host.attach else {
        return Vec::new();
    };
    let name = match attach {
        Attach::Kprobe => "kprobe",
        Attach::Fentry => "fentry",
    };
    vec![Check::ok(
        KERNEL,
        "--attach auto",
        format!("picks {name}: {reason}"),
    )]
}

/// What the kernel was built with, as far as it decides what can be known.
fn options(host: &Host) -> Vec<Check> {
    let Some(resolved) = host.resolved() else {
        return Vec::new();
    };
    let layout = &resolved.layout;
    let option = |name: &str, present: bool, use_of: &str, remedy: &str| {
        if present {
            Check::ok(KERNEL, name, use_of)
        } else {
            Check::bad(KERNEL, name, format!("not built in: no {use_of}"), remedy)
        }
    };
    let rt = if layout.preempt_rt == 1 {
        "yes: spinlocks sleep"
    } else {
        "no: spinlocks spin"
    };
    vec![
        option(
            "lockdep",
            layout.lock_classes != 0,
            "names of all held locks",
            "for test machines: CONFIG_PROVE_LOCKING=y",
        ),
        option(
            "PREEMPT_RCU",
            layout.task_rcu_nesting != ABSENT,
            "count of nested RCU readers",
            "CONFIG_PREEMPT_RCU=y comes with CONFIG_PREEMPTION=y (or PREEMPT_DYNAMIC)",
        ),
        option(
            "PREEMPT_COUNT",
            layout.preempt_counted == 1,
            "count of preempt_disable() and spinlocks",
            "CONFIG_PREEMPT_COUNT=y comes with CONFIG_PREEMPTION=y or CONFIG_DEBUG_ATOMIC_SLEEP=y",
        ),
        Check::ok(KERNEL, "PREEMPT_RT", rt),
    ]
}

fn debug_information(_: &Host) -> Vec<Check> {
    const NAME: &str = "source lines";
    let info = DebugInfo::find(None);
    let places: Vec<String> = info.sources().iter().map(ToString::to_string).collect();
    let found = info
        .sources()
        .iter()
        .any(|source| source.state == DebugState::Used);
    vec![if found {
        Check::ok(KERNEL, NAME, places.join("; "))
    } else {
        let remedy = "install the kernel's debug symbols, or give --vmlinux PATH";
        Check::bad(KERNEL, NAME, places.join("; "), remedy)
    }]
}

fn functions(host: &Host) -> Vec<Check> {
    let Ok(symbols) = &host.symbols else {
        return Vec::new();
    };
    let needs_types = host.is_attached_by(Attach::Fentry);
    let check = |name: &'static str| {
        let remedy = "use a kernel that does not inline it, with CONFIG_KALLSYMS=y";
        let check = match symbols.addresses(name).len() {
            0 => Check::bad(FUNCTIONS, name, "not in the symbol table", remedy),
            1 if needs_types && !host.btf.as_ref().is_ok_and(|btf| btf.has_function(name)) => {
                let remedy = "lastref watch --attach kprobe";
                Check::bad(FUNCTIONS, name, "not in the type information", remedy)
            }
            1 => Check::ok(FUNCTIONS, name, "found"),
            count => Check::unknown(FUNCTIONS, name, format!("{count} functions share the name")),
        };
        check.required()
    };
    ATTACH_POINTS
        .iter()
        .map(|point| check(point.function))
        .collect()
}

fn evict_callers(host: &Host) -> Vec<Check> {
    const NAME: &str = "callers of evict";
    let Some(resolved) = host.resolved() else {
        return Vec::new();
    };
    vec![match &resolved.evict_callers {
        Ok(names) => Check::ok(FUNCTIONS, NAME, names.join(", ")),
        Err(reason) => {
            let remedy = "needed for --level evictions only; --level final does without";
            Check::bad(FUNCTIONS, NAME, reason.as_str(), remedy)
        }
    }]
}

fn fields(host: &Host) -> Vec<Check> {
    let resolved = match &host.resolved {
        None => return Vec::new(),
        Some(Err(error)) => {
            let remedy = "use a kernel that has it";
            return vec![Check::bad(FIELDS, "layout", error.to_string(), remedy).required()];
        }
        Some(Ok(resolved)) => resolved,
    };
    let check = |field: &layout::ResolvedField| {
        let name = format!("{}.{}", field.type_name, field.path);
        let (use_of, required) = match field.need {
            Need::Everything => ("everything".to_owned(), true),
            Need::Facts(facts) => {
                let names: Vec<&str> = facts.iter().map(|fact| fact.name()).collect();
                (names.join(", "), false)
            }
            Need::Detail(detail) => (detail.to_owned(), false),
        };
        let check = match field.offset {
            Some(offset) => Check::ok(FIELDS, &name, format!("offset {offset}; for {use_of}")),
            None => Check {
                state: State::Bad,
                ..Check::ok(FIELDS, &name, format!("this kernel has none; for {use_of}"))
            },
        };
        check.required_if(required)
    };
    resolved.fields.iter().map(check).collect()
}

fn facts(host: &Host) -> Vec<Check> {
    let (Some(resolved), Some((attach, _))) = (host.resolved(), &host.attach) else {
        return Vec::new();
    };
    let unknown = resolved.unknown_facts(*attach);
    ALL_FACTS
        .iter()
        .map(|fact| match unknown.get(fact.name()) {
            Some(reason) => Check::unknown(FACTS, fact.name(), reason.as_str()),
            None => Check::ok(FACTS, fact.name(), "known"),
        })
        .collect()
}
