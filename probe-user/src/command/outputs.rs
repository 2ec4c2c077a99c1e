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
        model::{Report, Severity, Site},
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

/// The forms that people read from the first finding to the last.
const LISTS: [Format; 2] = [Format::Text, Format::Markdown];

/// What is shown, and written where.
#[derive(Debug, clap::Args)]
pub struct OutputArgs {
    /// In text, Markdown and jsonl, show only findings at least as bad as this, unless all are
    /// asked for; other forms have all, as --output has
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
    /// writing files and the stream of news, which the report has been shown in spite of.
    ///
    /// # Errors
    /// If it cannot be shown.
    pub fn finish(
        &mut self,
        mut report: Report,
        fail_on: Severity,
    ) -> Result<(Report, Result<()>)> {
        suppress::apply(self.suppressions.as_ref(), &mut report);
        let report = Arc::new(report);
        let mut written = self.write(&report, false);
        let told = self
            .display
            .take()
            .map_or(Ok(()), |display| display.finish(&report));
        // Whatever else failed to show news, the whole report is shown below.
        if self.args.shown() == Shown::Lines {
            written = written.and(told);
        }
        // Should it have been left behind.
        live::restore();
        output::release();
        let mut report = Arc::unwrap_or_clone(report);
        self.args.show(&mut report, fail_on)?;
        suppress::tell_idle(&report);
        Ok((report, written))
    }

    /// Writes the files, the report first; one that fails does not keep the other from being written.
    fn write(&mut self, report: &Report, up: bool) -> Result<()> {
        let written = self
            .args
            .output
            .as_ref()
            .map_or(Ok(()), |path| file::write(path, report));
        let metrics = self
            .args
            .prometheus
            .as_ref()
            .map_or(Ok(()), |path| {
                let text = self.metrics.render(report, Timestamp::now(), up);
                file::write_for(Readers::Everyone, path, |out| {
                    out.write_all(text.as_bytes())
                })
            })
            .context("the metrics are not written");
        written.map_err(Into::into).and(metrics)
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
            Shown::Report(Format::Text) => Display::start(output::PATIENCE, move |mailbox| {
                Ok(display::sentences(mailbox, wanted))
            })?,
            Shown::Report(_) => return Ok(None),
        };
        Ok(Some(display))
    }

    /// Prints the report, unless it has been.
    fn show(&self, report: &mut Report, fail_on: Severity) -> Result<()> {
        let Shown::Report(format) = self.shown() else {
            return Ok(());
        };
        if let Some(path) = &self.output
            && output::is_terminal_stuck(output::PATIENCE)
        {
            output::tell(format_args!(
                "the terminal takes nothing: the report is in {} only",
                path.display()
            ));
            return Ok(());
        }
        let options = Options {
            all: self.all,
            colour: output::colour(),
            fail_on: Some(fail_on),
            ..Options::default()
        };
        let milder = self.take_milder(format, report);
        if !milder.is_empty() {
            output::tell(format_args!(
                "{} milder findings are not shown (--min-severity)",
                milder.len()
            ));
        }
        let written = output::stream(|out| format.write(report, &options, out));
        report.findings.extend(milder);
        written.map(drop)
    }

    /// Takes out what is too mild to be shown in that form.
    fn take_milder(&self, format: Format, report: &mut Report) -> Vec<Site> {
        if self.all || !LISTS.contains(&format) {
            return Vec::new();
        }
        // The worst come first.
        let shown = report
            .findings
            .partition_point(|site| site.severity >= self.min_severity);
        report.findings.split_off(shown)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        outputs: OutputArgs,
    }

    fn report() -> Report {
        serde_json::from_str(include_str!("../../tests/demo.json")).unwrap()
    }

    #[test]
    fn mild_findings_are_left_out_of_lists_only() {
        let mut all = report();
        let shown = all.findings.len();
        assert!(shown > 0 && all.findings[0].severity >= Severity::Unsafe);
        all.findings.push(Site {
            severity: Severity::Risky,
            ..all.findings[0].clone()
        });
        for (format, further, left) in [
            (Format::Text, None, shown),
            (Format::Markdown, None, shown),
            (Format::Text, Some("--all"), all.findings.len()),
            (Format::Json, None, all.findings.len()),
            (Format::Ktap, None, all.findings.len()),
        ] {
            let arguments = ["lastref", "--min-severity", "unsafe"];
            let line = Line::parse_from(arguments.into_iter().chain(further));
            let mut report = all.clone();
            let milder = line.outputs.take_milder(format, &mut report);
            assert_eq!(report.findings.len(), left, "{format:?}");
            assert_eq!(milder.len(), all.findings.len() - left);
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_does_not_keep_the_other() {
        let directory = tempfile::tempdir().unwrap();
        let good = directory.path().join("good");
        let bad = directory.path().join("missing/bad");
        for (output, prometheus, told) in [
            (&good, &bad, "the metrics are not written"),
            (&bad, &good, "cannot write report"),
        ] {
            let line = Line::parse_from([
                "lastref".as_ref(),
                "--output".as_ref(),
                output.as_os_str(),
                "--prometheus".as_ref(),
                prometheus.as_os_str(),
            ]);
            let mut outputs = Outputs {
                args: &line.outputs,
                suppressions: None,
                metrics: Metrics::default(),
                display: None,
            };
            let error = format!("{:#}", outputs.write(&report(), true).unwrap_err());
            assert!(error.starts_with(told), "{error}");
            assert!(std::fs::read_to_string(&good).unwrap().len() > 100);
            std::fs::remove_file(&good).unwrap();
        }
    }
}
