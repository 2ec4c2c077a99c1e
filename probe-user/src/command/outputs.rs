//! Where `watch` and `run` put what they see: files at each interval, a display meanwhile, the
//! whole report at the end.

use std::{
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::{ValueEnum, builder::PossibleValue};
use jiff::Timestamp;
use lastref::{
    observe::Session,
    report::{
        changes::Wanted,
        file::{self, Readers},
        format::{Format, Options},
        model::{Report, Severity},
        prometheus::Metrics,
        suppress::Suppressions,
    },
};

use super::{
    display::{self, Display, Outcome},
    files::Named,
    live,
    observe::Stage,
    output,
    provoke::Provoker,
    suppress,
};

/// What `node_exporter` takes the names of its files to end in; it passes over others.
const METRICS_EXTENSION: &str = "prom";

/// What is shown, and written where.
#[derive(Debug, clap::Args)]
pub struct OutputArgs {
    /// Show only findings at least as bad as this; --output keeps all
    #[arg(long, value_enum, default_value_t = Severity::Latent)]
    min_severity: Severity,
    /// Write the report here as JSON, anew at each interval; created with mode 0600
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Keep this file in the Prometheus text format, for the textfile collector of Prometheus' node exporter:
    /// replaced at each interval, readable by everyone (mode 0644)
    #[arg(long, value_name = "FILE")]
    prometheus: Option<PathBuf>,
    /// How to print what is seen: in a form of reports at the end, or in jsonl as it appears
    #[arg(long, value_enum, default_value_t)]
    format: Shown,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Show every site, also those that are no findings
    #[arg(long)]
    all: bool,
}

/// What is printed on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// The report, at the end.
    Report(Format),
    /// What is new, as it appears, a line of JSON each.
    Lines,
}

impl Default for Shown {
    fn default() -> Self {
        Self::Report(Format::default())
    }
}

impl ValueEnum for Shown {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<Shown>> = LazyLock::new(|| {
            let reports = Format::value_variants().iter().copied();
            reports.map(Shown::Report).chain([Shown::Lines]).collect()
        });
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Report(format) => format.to_possible_value(),
            Self::Lines => Some(
                PossibleValue::new("jsonl").help("What is new as it appears, a line of JSON each"),
            ),
        }
    }
}

/// Everything that is written and shown.
pub struct Outputs<'a> {
    args: &'a OutputArgs,
    suppressions: Option<Suppressions>,
    metrics: Metrics,
    display: Option<Display>,
}

impl<'a> Outputs<'a> {
    /// Starts the display. With a workload the end is its own.
    ///
    /// # Errors
    /// If there can be no thread for the display.
    pub fn start(
        args: &'a OutputArgs,
        suppressions: Option<Suppressions>,
        stage: Stage,
        has_workload: bool,
    ) -> Result<Self> {
        if let Some(path) = &args.prometheus
            && path
                .extension()
                .is_none_or(|extension| extension != METRICS_EXTENSION)
        {
            output::tell(format_args!(
                "node_exporter reads only files whose names end in .{METRICS_EXTENSION}, which {} \
                 does not",
                path.display()
            ));
        }
        Ok(Self {
            args,
            suppressions,
            metrics: Metrics::default(),
            display: args.display(stage, has_workload)?,
        })
    }

    /// The display, if there is one.
    pub fn display(&self) -> Option<&Display> {
        self.display.as_ref()
    }

    /// Writes and shows what was seen so far. What cannot be read or written now (a full disk) is
    /// told, and tried again at the next interval: what is collected stays where it is.
    pub fn interim(&mut self, session: &mut Session, provoker: Option<&Provoker>) {
        let report = session.report(true, None).map_err(anyhow::Error::from);
        let written = report.and_then(|mut report| {
            if let Some(provoker) = provoker {
                provoker.note(&mut report);
            }
            suppress::apply(self.suppressions.as_ref(), &mut report);
            let report = Arc::new(report);
            if let Some(display) = &self.display {
                display.show(&report, false);
            }
            self.write(&report, true)
        });
        if let Err(error) = written {
            output::tell(format_args!("{error:#}; going on, and trying again"));
        }
    }

    /// Writes and shows the whole report, and returns it as it was shown. The inner result is that of
    /// writing files, which the report has been shown in spite of.
    ///
    /// # Errors
    /// If it cannot be shown.
    pub fn finish(
        &mut self,
        mut report: Report,
        fail_on: Severity,
    ) -> Result<(Arc<Report>, Result<()>)> {
        suppress::apply(self.suppressions.as_ref(), &mut report);
        let report = Arc::new(report);
        let written = self.write(&report, false);
        if let Some(display) = self.display.take() {
            display.show(&report, true);
            // Which waits until all is shown.
            drop(display);
        }
        // Should it have been left behind.
        live::restore();
        output::release();
        self.args.show(&report, fail_on)?;
        suppress::tell_idle(&report);
        Ok((report, written))
    }

    fn write(&mut self, report: &Report, up: bool) -> Result<()> {
        if let Some(path) = &self.args.prometheus {
            let text = self.metrics.render(report, Timestamp::now(), up);
            file::write_for(Readers::Everyone, path, |out| {
                out.write_all(text.as_bytes())
            })
            .context("the metrics are not written")?;
        }
        if let Some(path) = &self.args.output {
            file::write(path, report)?;
        }
        Ok(())
    }
}

impl Drop for Outputs<'_> {
    /// When something else failed, and [`Outputs::finish`] was not reached.
    fn drop(&mut self) {
        if let Some(display) = self.display.take() {
            drop(display);
            live::restore();
            output::release();
        }
    }
}

impl OutputArgs {
    /// The files that are replaced at each interval.
    pub fn files(&self) -> [Named<'_>; 2] {
        [
            ("--output", self.output.as_deref()),
            ("--prometheus", self.prometheus.as_deref()),
        ]
    }

    fn shown(&self) -> Shown {
        if self.json {
            Shown::Report(Format::Json)
        } else {
            self.format
        }
    }

    /// Which sites are shown meanwhile.
    fn wanted(&self) -> Wanted {
        Wanted {
            mildest: self.min_severity,
            all: self.all,
        }
    }

    fn display(&self, stage: Stage, has_workload: bool) -> Result<Option<Display>> {
        let wanted = self.wanted();
        let display = match self.shown() {
            Shown::Lines => {
                let at_broken_pipe = if has_workload {
                    Outcome::Over
                } else {
                    Outcome::Stop
                };
                Display::start(Duration::MAX, move |mailbox| {
                    display::lines(mailbox, wanted, at_broken_pipe)
                })?
            }
            Shown::Report(Format::Text) if stage == Stage::Screen && live::is_usable() => {
                let options = live::Options {
                    wanted,
                    output: self.output.clone(),
                };
                Display::start(live::PATIENCE, move |mailbox| live::run(mailbox, &options))?
            }
            Shown::Report(Format::Text) => Display::start(Duration::MAX, move |mailbox| {
                Ok(display::sentences(mailbox, wanted))
            })?,
            Shown::Report(_) => return Ok(None),
        };
        Ok(Some(display))
    }

    /// Prints the report, unless it has been.
    fn show(&self, report: &Report, fail_on: Severity) -> Result<()> {
        let Shown::Report(format) = self.shown() else {
            return Ok(());
        };
        let options = Options {
            all: self.all,
            colour: output::colour(),
            fail_on: Some(fail_on),
            ..Options::default()
        };
        let mut shown = report.clone();
        if format == Format::Text {
            shown
                .findings
                .retain(|site| site.severity >= self.min_severity);
            let milder = report.findings.len() - shown.findings.len();
            if milder > 0 {
                output::tell(format_args!(
                    "{milder} milder findings are not shown (--min-severity)"
                ));
            }
        }
        output::stream(|out| format.write(&shown, &options, out)).map(drop)
    }
}
