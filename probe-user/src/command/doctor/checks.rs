//! The checks: what watching needs of this host and kernel, one table.

mod facts;
mod frames;
mod functions;
mod host;
mod kernel;

use lastref::kernel::btf::{Btf, BtfError};
use lastref::kernel::features::{self, AttachChoice};
use lastref::kernel::layout::{self, LayoutError, Resolved};
use lastref::kernel::preemption;
use lastref::kernel::symbols::{Symbols, SymbolsError};
use lastref::report::model::Attach;

use super::diagnosis::{Check, Diagnosis};

/// Looks at the running kernel and this process.
pub fn diagnose() -> Diagnosis {
    let host = Host::new();
    Diagnosis::new(CHECKS.iter().flat_map(|check| check(&host)).collect())
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
        let attach = symbols.as_ref().ok().map(|symbols| {
            features::choose_attach(
                AttachChoice::Auto,
                symbols,
                preemption::is_preemptible(symbols),
            )
        });
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

/// Every check, in the order of the report. A check looks at one thing, or at a list of its kind.
const CHECKS: &[fn(&Host) -> Vec<Check>] = &[
    host::capabilities,
    host::lockdown,
    host::kptr_restrict,
    host::perf_event_paranoid,
    host::perf_event_max_stack,
    kernel::symbols,
    kernel::types,
    kernel::bpf_tracing,
    kernel::ring_buffer,
    kernel::kprobes,
    kernel::fentry,
    kernel::attach,
    kernel::options,
    kernel::debug_information,
    functions::functions,
    functions::evict_callers,
    frames::frames,
    facts::fields,
    facts::facts,
];
