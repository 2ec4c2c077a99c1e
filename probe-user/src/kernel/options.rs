//! The kernel options that lastref depends on, one table, and what a configuration makes of it.

use probe_common::Fact;
use serde::Serialize;

use super::config::{KernelConfig, Version};
use crate::report::model::Attach;

/// The oldest kernel with the BPF ring buffer (kernel/bpf/ringbuf.c).
const OLDEST: Version = (5, 8);

/// How much depends on an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// Nothing works without it.
    Required,
    /// More is known, or can be done, with it; it costs little.
    Recommended,
    /// More is known with it, at a price that only test machines pay.
    Testing,
}

/// An option, and what hangs on it.
#[derive(Debug)]
pub struct KernelOption {
    /// Its name, without `CONFIG_`.
    pub name: &'static str,
    /// Whether it must be set, or must not.
    pub wanted: bool,
    /// How much depends on it.
    pub need: Need,
    /// The way to attach probes that it is for; `None` if for both.
    pub attach: Option<Attach>,
    /// What it gives.
    pub gives: &'static str,
    /// The facts that are unknown without it.
    pub facts: &'static [Fact],
    /// The file of the kernel's source that describes it.
    pub kconfig: &'static str,
    /// What to write into a configuration to get it: itself, if it has a prompt, and what it
    /// depends on and is off by default.
    pub lines: &'static [Line],
}

/// A line of a configuration.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    name: &'static str,
    set: bool,
    /// Left out where this is set already: another choice that does as well.
    unless: Option<&'static str>,
    /// The first version that knows it.
    since: Version,
    /// The first version that does not any more.
    until: Version,
}

impl Line {
    const fn on(name: &'static str) -> Self {
        Self {
            name,
            set: true,
            unless: None,
            since: (0, 0),
            until: (u32::MAX, 0),
        }
    }

    const fn off(name: &'static str) -> Self {
        Self {
            set: false,
            ..Self::on(name)
        }
    }

    const fn unless(self, other: &'static str) -> Self {
        Self {
            unless: Some(other),
            ..self
        }
    }

    const fn since(self, since: Version) -> Self {
        Self { since, ..self }
    }

    const fn until(self, until: Version) -> Self {
        Self { until, ..self }
    }

    /// Whether `config` needs this line. A configuration that does not tell its version is taken
    /// for a new one.
    fn is_missing(self, config: &KernelConfig) -> bool {
        let version = config.version().unwrap_or((u32::MAX - 1, 0));
        config.is_set(self.name) != self.set
            && !self.unless.is_some_and(|other| config.is_set(other))
            && (self.since..self.until).contains(&version)
    }

    fn text(self) -> String {
        if self.set {
            format!("CONFIG_{}=y", self.name)
        } else {
            format!("# CONFIG_{} is not set", self.name)
        }
    }
}

const BPF_SYSCALL: Line = Line::on("BPF_SYSCALL");
const PERF_EVENTS: Line = Line::on("PERF_EVENTS");
const KPROBES: Line = Line::on("KPROBES");
/// Kprobe events and tracers are in its menu (kernel/trace/Kconfig).
const FTRACE: Line = Line::on("FTRACE");
const KPROBE_EVENTS: Line = Line::on("KPROBE_EVENTS");
const FUNCTION_TRACER: Line = Line::on("FUNCTION_TRACER");
const DYNAMIC_FTRACE: Line = Line::on("DYNAMIC_FTRACE");
/// Options of lib/Kconfig.debug and `KALLSYMS_ALL` depend on it.
const DEBUG_KERNEL: Line = Line::on("DEBUG_KERNEL");
/// A choice since 5.18, of which any member but NONE selects `DEBUG_INFO`.
const DEBUG_INFO: &[Line] = &[
    Line::on("DEBUG_INFO").until((5, 18)),
    Line::on("DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT")
        .unless("DEBUG_INFO")
        .since((5, 18)),
];
/// Preemption is counted where kernel code is preempted. With the dynamic kind the mode is still
/// chosen at boot; any mode goes with it since 5.16 (kernel/Kconfig.preempt).
const PREEMPTION: &[Line] = &[
    Line::on("PREEMPT").until((5, 16)),
    Line::on("PREEMPT_DYNAMIC")
        .unless("PREEMPT_RT")
        .since((5, 16)),
];

/// What is the same of most options.
const OPTION: KernelOption = KernelOption {
    name: "",
    wanted: true,
    need: Need::Required,
    attach: None,
    gives: "",
    facts: &[],
    kconfig: "",
    lines: &[],
};

/// Every option that matters.
pub const OPTIONS: &[KernelOption] = &[
    KernelOption {
        name: "X86_64",
        gives: "the only architecture that lastref knows",
        kconfig: "arch/x86/Kconfig",
        ..OPTION
    },
    KernelOption {
        name: "BPF_SYSCALL",
        gives: "BPF programs, maps and the ring buffer",
        kconfig: "kernel/bpf/Kconfig",
        lines: &[BPF_SYSCALL],
        ..OPTION
    },
    KernelOption {
        name: "BPF_EVENTS",
        gives: "BPF programs on probes; comes with KPROBE_EVENTS, PERF_EVENTS and BPF_SYSCALL",
        kconfig: "kernel/trace/Kconfig",
        lines: &[BPF_SYSCALL, PERF_EVENTS, KPROBES, FTRACE, KPROBE_EVENTS],
        ..OPTION
    },
    KernelOption {
        name: "PERF_EVENTS",
        gives: "perf_event_open(2), which puts a program on a kprobe",
        kconfig: "init/Kconfig",
        lines: &[PERF_EVENTS],
        ..OPTION
    },
    KernelOption {
        name: "KPROBES",
        attach: Some(Attach::Kprobe),
        gives: "probes on any function, and --track-locks",
        kconfig: "arch/Kconfig",
        lines: &[KPROBES],
        ..OPTION
    },
    KernelOption {
        name: "KPROBE_EVENTS",
        attach: Some(Attach::Kprobe),
        gives: "kprobes that perf events create",
        kconfig: "kernel/trace/Kconfig",
        lines: &[KPROBES, FTRACE, KPROBE_EVENTS],
        ..OPTION
    },
    KernelOption {
        name: "KPROBES_ON_FTRACE",
        attach: Some(Attach::Kprobe),
        gives: "kprobes that are no breakpoints, whose programs run as in an interrupt; comes with \
                DYNAMIC_FTRACE",
        kconfig: "arch/Kconfig",
        lines: &[KPROBES, FTRACE, FUNCTION_TRACER, DYNAMIC_FTRACE],
        ..OPTION
    },
    KernelOption {
        name: "DEBUG_INFO_BTF",
        gives: "the layout of the kernel's types; pahole must be installed where it is built",
        kconfig: "lib/Kconfig.debug",
        lines: &[
            DEBUG_KERNEL,
            BPF_SYSCALL,
            DEBUG_INFO[0],
            DEBUG_INFO[1],
            Line::off("DEBUG_INFO_REDUCED"),
            Line::off("DEBUG_INFO_SPLIT"),
            Line::on("DEBUG_INFO_BTF"),
        ],
        ..OPTION
    },
    KernelOption {
        name: "KALLSYMS",
        gives: "the kernel's functions by name and address",
        kconfig: "init/Kconfig",
        lines: &[Line::on("KALLSYMS")],
        ..OPTION
    },
    KernelOption {
        name: "PROC_FS",
        gives: "/proc/kallsyms, and what /proc tells of threads",
        kconfig: "fs/proc/Kconfig",
        lines: &[Line::on("PROC_FS")],
        ..OPTION
    },
    KernelOption {
        name: "SYSFS",
        gives: "/sys/kernel/btf/vmlinux, and the number of the kprobe event source",
        kconfig: "fs/sysfs/Kconfig",
        lines: &[Line::on("SYSFS")],
        ..OPTION
    },
    KernelOption {
        name: "EPOLL",
        gives: "epoll(7), by which lastref waits",
        kconfig: "init/Kconfig",
        lines: &[Line::on("EPOLL")],
        ..OPTION
    },
    KernelOption {
        name: "EVENTFD",
        gives: "eventfd(2), by which its threads wake each other",
        kconfig: "init/Kconfig",
        lines: &[Line::on("EVENTFD")],
        ..OPTION
    },
    KernelOption {
        name: "UNIX",
        gives: "socketpair(2), by which it hears of signals",
        kconfig: "net/unix/Kconfig",
        lines: &[Line::on("NET"), Line::on("UNIX")],
        ..OPTION
    },
    KernelOption {
        name: "LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY",
        wanted: false,
        gives: "BPF programs that may read the kernel's memory",
        kconfig: "security/lockdown/Kconfig",
        lines: &[Line::on("LOCK_DOWN_KERNEL_FORCE_NONE")],
        ..OPTION
    },
    KernelOption {
        name: "BPF_JIT",
        need: Need::Recommended,
        attach: Some(Attach::Fentry),
        gives: "programs at full speed, and BPF trampolines",
        kconfig: "kernel/bpf/Kconfig",
        lines: &[Line::on("BPF_JIT")],
        ..OPTION
    },
    KernelOption {
        name: "DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
        need: Need::Recommended,
        attach: Some(Attach::Fentry),
        gives: "BPF trampolines, which cost a third of what kprobes do for most puts; comes with \
                DYNAMIC_FTRACE",
        kconfig: "kernel/trace/Kconfig",
        lines: &[FTRACE, FUNCTION_TRACER, DYNAMIC_FTRACE],
        ..OPTION
    },
    KernelOption {
        name: "KALLSYMS_ALL",
        need: Need::Recommended,
        gives: "atomic contexts and the stack that is left, by symbols of data; also which locks \
                are held, with lockdep, and whether trampolines are safe",
        facts: &[
            Fact::Hardirq,
            Fact::Softirq,
            Fact::Nmi,
            Fact::BhDisabled,
            Fact::PreemptDisabled,
            Fact::StackBelow4K,
            Fact::StackBelow2K,
        ],
        kconfig: "init/Kconfig",
        lines: &[DEBUG_KERNEL, Line::on("KALLSYMS_ALL")],
        ..OPTION
    },
    KernelOption {
        name: "SMP",
        need: Need::Recommended,
        gives: "atomic contexts: the preempt count is looked for where SMP kernels have it",
        facts: &[
            Fact::Hardirq,
            Fact::Softirq,
            Fact::Nmi,
            Fact::BhDisabled,
            Fact::PreemptDisabled,
        ],
        kconfig: "arch/x86/Kconfig",
        lines: &[Line::on("SMP")],
        ..OPTION
    },
    KernelOption {
        name: "PREEMPT_COUNT",
        need: Need::Recommended,
        gives: "held spinlocks and preempt_disable(); comes with preemption",
        facts: &[Fact::PreemptDisabled],
        kconfig: "kernel/Kconfig.preempt",
        lines: PREEMPTION,
        ..OPTION
    },
    KernelOption {
        name: "PREEMPT_RCU",
        need: Need::Recommended,
        gives: "RCU readers; comes with preemption",
        facts: &[Fact::RcuReader],
        kconfig: "kernel/rcu/Kconfig",
        lines: PREEMPTION,
        ..OPTION
    },
    KernelOption {
        name: "PROC_KCORE",
        need: Need::Recommended,
        gives: "evict()'s callers, which tell unmount and the inode shrinker from puts: needed for \
                --level evictions; and callers that jump to iput()",
        kconfig: "fs/proc/Kconfig",
        lines: &[Line::on("PROC_KCORE")],
        ..OPTION
    },
    KernelOption {
        name: "STACKTRACE",
        need: Need::Recommended,
        gives: "the stacks of stuck calls (/proc/PID/stack)",
        kconfig: "lib/Kconfig.debug",
        lines: &[DEBUG_KERNEL, Line::on("STACKTRACE")],
        ..OPTION
    },
    KernelOption {
        name: "UNWINDER_GUESS",
        wanted: false,
        need: Need::Recommended,
        gives: "stacks without frames that are none: the guess unwinder shows what is left of \
                earlier calls",
        kconfig: "arch/x86/Kconfig.debug",
        lines: &[Line::on("UNWINDER_ORC")],
        ..OPTION
    },
    KernelOption {
        name: "SYSCTL",
        need: Need::Recommended,
        gives: "--provoke (/proc/sys/vm/drop_caches)",
        kconfig: "fs/proc/Kconfig",
        // The first is the prompt's name on older kernels; each passes over the other's.
        lines: &[Line::on("PROC_SYSCTL").until((7, 0)), Line::on("SYSCTL")],
        ..OPTION
    },
    KernelOption {
        name: "MEMCG",
        need: Need::Recommended,
        gives: "--provoke=memory",
        kconfig: "init/Kconfig",
        lines: &[Line::on("CGROUPS"), Line::on("MEMCG")],
        ..OPTION
    },
    KernelOption {
        name: "LOCKDEP",
        need: Need::Testing,
        gives: "every held lock, its name and who took it; comes with PROVE_LOCKING",
        facts: &[Fact::LockHeld],
        kconfig: "lib/Kconfig.debug",
        lines: &[DEBUG_KERNEL, Line::on("PROVE_LOCKING")],
        ..OPTION
    },
    KernelOption {
        name: "DEBUG_ATOMIC_SLEEP",
        need: Need::Testing,
        gives: "the kernel's own word on sleeping in atomic context, in its log",
        kconfig: "lib/Kconfig.debug",
        lines: &[DEBUG_KERNEL, Line::on("DEBUG_ATOMIC_SLEEP")],
        ..OPTION
    },
];

/// An option as a configuration has it.
#[derive(Debug, Serialize)]
pub struct Judged {
    /// Its name, without `CONFIG_`.
    pub name: &'static str,
    /// Whether it must be set, or must not.
    pub wanted: bool,
    /// Whether it is as wanted.
    pub ok: bool,
    /// How much depends on it here.
    pub need: Need,
    /// What it gives.
    pub gives: &'static str,
    /// The facts that are unknown without it.
    pub facts: Vec<&'static str>,
    /// The file of the kernel's source that describes it.
    pub kconfig: &'static str,
    /// The lines to add to get it; none if it is as wanted.
    pub lines: Vec<String>,
}

/// What a configuration comes to.
#[derive(Debug, Serialize)]
pub struct Assessment {
    /// The kernel's release, if the configuration tells it.
    pub release: Option<String>,
    /// Whether a kernel built so could be watched.
    pub watchable: bool,
    /// Whether it is too old, whatever its options.
    pub too_old: bool,
    /// How probes would be attached.
    pub attach: Attach,
    /// Why so.
    pub attach_reason: &'static str,
    /// Every option of the table.
    pub options: Vec<Judged>,
    /// Options that are set twice, to different values; the last one counts.
    pub contradictions: Vec<String>,
}

impl Assessment {
    /// Judges `config`.
    #[must_use]
    pub fn new(config: &KernelConfig) -> Self {
        let (attach, attach_reason) = attach(config);
        let options: Vec<Judged> = OPTIONS
            .iter()
            .map(|option| option.judge(config, attach))
            .collect();
        let too_old = config.version().is_some_and(|version| version < OLDEST);
        let lacks = |option: &Judged| option.need == Need::Required && !option.ok;
        Self {
            release: config.release().map(ToOwned::to_owned),
            watchable: !too_old && !options.iter().any(lacks),
            too_old,
            attach,
            attach_reason,
            options,
            contradictions: config.contradictions().map(ToOwned::to_owned).collect(),
        }
    }

    /// The options that are not as wanted, as far as `need` goes.
    pub fn missing(&self, need: Need) -> impl Iterator<Item = &Judged> {
        self.options
            .iter()
            .filter(move |option| !option.ok && option.need <= need)
    }
}

impl KernelOption {
    fn judge(&self, config: &KernelConfig, attach: Attach) -> Judged {
        let ok = config.is_set(self.name) == self.wanted;
        let lines = self
            .lines
            .iter()
            .filter(|line| !ok && line.is_missing(config));
        Judged {
            name: self.name,
            wanted: self.wanted,
            ok,
            need: match self.attach {
                // It is for the other way to attach.
                Some(own) if own != attach => Need::Recommended.max(self.need),
                _ => self.need,
            },
            gives: self.gives,
            facts: self.facts.iter().map(|fact| fact.name()).collect(),
            kconfig: self.kconfig,
            lines: lines.map(|line| line.text()).collect(),
        }
    }
}

/// How probes would be attached, as `features::choose_attach()` decides it on the running kernel.
fn attach(config: &KernelConfig) -> (Attach, &'static str) {
    let before = |version| config.version().is_none_or(|own| own < version);
    // Where the mode is chosen at boot, this is the one without a choice (kernel/sched/core.c,
    // `preempt_dynamic_init()`).
    let preempts = if config.is_set("PREEMPT_DYNAMIC") {
        ["PREEMPT", "PREEMPT_LAZY", "PREEMPT_RT"]
            .iter()
            .any(|mode| config.is_set(mode))
    } else {
        config.is_set("PREEMPTION")
    };
    if !config.is_set("BPF_JIT") || !config.is_set("DYNAMIC_FTRACE_WITH_DIRECT_CALLS") {
        (Attach::Kprobe, "it has no BPF trampolines")
    } else if config.is_set("TASKS_RCU") && before((6, 9)) {
        (
            Attach::Kprobe,
            "it could deadlock when a BPF trampoline is freed",
        )
    } else if !config.is_set("KALLSYMS_ALL") {
        (
            Attach::Kprobe,
            "whether freeing a BPF trampoline is safe cannot be told without KALLSYMS_ALL",
        )
    } else if preempts {
        (
            Attach::Kprobe,
            "it preempts tasks in kernel code, where trampolines miss calls",
        )
    } else if config.is_set("PREEMPT_DYNAMIC") && !config.is_set("PROC_KCORE") {
        (
            Attach::Kprobe,
            "whether it preempts tasks in kernel code cannot be told without PROC_KCORE",
        )
    } else {
        (
            Attach::Fentry,
            "BPF trampolines cost less than kprobes, and are safe to free",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration with the options of `names` set.
    fn config(release: &str, names: &[&str]) -> KernelConfig {
        let lines: Vec<String> = names
            .iter()
            .map(|name| format!("CONFIG_{name}=y\n"))
            .collect();
        let head = format!("# Linux/x86 {release} Kernel Configuration\n");
        KernelConfig::parse(&(head + &lines.concat())).unwrap()
    }

    fn wanted(need: Need) -> Vec<&'static str> {
        OPTIONS
            .iter()
            .filter(|option| option.wanted && option.need <= need)
            .map(|option| option.name)
            .collect()
    }

    #[test]
    fn each_required_option_is_required() {
        let all = wanted(Need::Testing);
        assert!(Assessment::new(&config("7.3.4", &[&all[..], &["PREEMPT"]].concat())).watchable);
        for name in wanted(Need::Required) {
            let mut others = all.clone();
            others.retain(|other| *other != name);
            // Kprobes are needed where trampolines miss calls.
            others.push("PREEMPTION");
            let assessment = Assessment::new(&config("7.3.4", &others));
            assert!(!assessment.watchable, "{name}");
            let missing: Vec<_> = assessment.missing(Need::Required).collect();
            assert_eq!(missing.len(), 1, "{name}");
            assert!(!missing[0].lines.is_empty() || name == "X86_64", "{name}");
        }
        let locked = [&all[..], &["LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY"]].concat();
        assert!(!Assessment::new(&config("7.3.4", &locked)).watchable);
        let old = Assessment::new(&config("5.7.19", &all));
        assert!(old.too_old && !old.watchable);
    }

    #[test]
    fn no_other_option_is() {
        let required = [&wanted(Need::Required)[..], &["PREEMPTION"]].concat();
        let assessment = Assessment::new(&config("7.3.4", &required));
        assert!(assessment.watchable);
        assert_eq!(assessment.attach, Attach::Kprobe);
        assert!(assessment.missing(Need::Recommended).count() > 3);
    }

    #[test]
    fn trampolines_do_without_kprobes() {
        let mut names = wanted(Need::Testing);
        names.retain(|name| !["KPROBES", "KPROBE_EVENTS"].contains(name));
        let assessment = Assessment::new(&config("6.12.1", &names));
        assert_eq!(assessment.attach, Attach::Fentry);
        assert!(assessment.watchable);
        let risky = config("6.8.1", &[&names[..], &["TASKS_RCU"]].concat());
        assert_eq!(Assessment::new(&risky).attach, Attach::Kprobe);
        assert!(!Assessment::new(&risky).watchable);
        let preemptible = config("6.12.1", &[&names[..], &["PREEMPTION"]].concat());
        assert_eq!(Assessment::new(&preemptible).attach, Attach::Kprobe);
        let mild = ["PREEMPTION", "PREEMPT_DYNAMIC", "PREEMPT_VOLUNTARY"];
        let chosen_at_boot = config("6.12.1", &[&names[..], &mild].concat());
        assert_eq!(Assessment::new(&chosen_at_boot).attach, Attach::Fentry);
    }

    #[test]
    fn lines_fit_the_version_and_what_is_set() {
        let lines = |release: &str, names: &[&str], option: &str| {
            let assessment = Assessment::new(&config(release, names));
            let found = assessment
                .options
                .into_iter()
                .find(|own| own.name == option);
            found.unwrap().lines
        };
        assert_eq!(
            lines("5.10.1", &["X86"], "PREEMPT_COUNT"),
            ["CONFIG_PREEMPT=y"]
        );
        assert_eq!(
            lines("6.1.1", &["X86"], "PREEMPT_RCU"),
            ["CONFIG_PREEMPT_DYNAMIC=y"]
        );
        let given = ["DEBUG_KERNEL", "BPF_SYSCALL", "DEBUG_INFO_REDUCED"];
        assert_eq!(
            lines("6.1.1", &given, "DEBUG_INFO_BTF"),
            [
                "CONFIG_DEBUG_INFO_DWARF_TOOLCHAIN_DEFAULT=y",
                "# CONFIG_DEBUG_INFO_REDUCED is not set",
                "CONFIG_DEBUG_INFO_BTF=y"
            ]
        );
        let has_debug_info = [&given[..2], &["DEBUG_INFO"]].concat();
        assert_eq!(
            lines("6.1.1", &has_debug_info, "DEBUG_INFO_BTF"),
            ["CONFIG_DEBUG_INFO_BTF=y"]
        );
        assert!(lines("5.10.1", &given, "DEBUG_INFO_BTF").contains(&"CONFIG_DEBUG_INFO=y".into()));
        assert!(lines("6.1.1", &["KPROBES"], "KPROBES").is_empty());
    }
}
