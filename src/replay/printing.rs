//! What `ctrace replay` prints of each alert, and tells at the end.

use std::io::{self, BufWriter, StdoutLock, Write};

use ctrace_replay::{Alert, AlertDigest, Extras, Fate, Suppression, Triage};
use ctrace_trace::escape;

use super::Args;
use crate::progress::Progress;
use crate::{exit, output, triage};

/// What is done with each alert as it comes.
pub(super) struct Printing<'a> {
    args: &'a Args,
    suppressions: &'a [Suppression],
    pub(super) triage: Triage,
    digest: Option<AlertDigest>,
    progress: Progress,
    out: BufWriter<StdoutLock<'static>>,
    /// The line that is being made.
    line: String,
    written: io::Result<()>,
}

/// What is left of it at the end.
pub(super) struct Printed<'a> {
    suppressions: &'a [Suppression],
    triage: Triage,
    pub(super) digest: Option<AlertDigest>,
}

impl Printed<'_> {
    /// The exit code where all could be read.
    pub(super) fn code(&self) -> u8 {
        let total = self.triage.summary.total;
        if total.all() > total.suppressed {
            exit::FINDINGS
        } else {
            exit::DONE
        }
    }

    /// Tells which rules had nothing to look at, what triage left out, and what is odd about suppressions.
    pub(super) fn tell(&self) {
        let idle = &self.triage.summary.idle;
        if !idle.is_empty() {
            let each = idle.iter().map(|(source, rules)| format!("{source} ({rules})"));
            let each = each.collect::<Vec<_>>().join(", ");
            output::note(&format!(
                "rules without events of their source: {}",
                escape::text(&each)
            ));
        }
        triage::left_out(self.triage.summary.total)
            .iter()
            .chain(&triage::remarks(self.suppressions, &self.triage.summary))
            .for_each(|line| output::note(&escape::text(line)));
    }
}

impl<'a> Printing<'a> {
    /// For about so many events; 0 where that is not known.
    pub(super) fn new(args: &'a Args, suppressions: &'a [Suppression], triage: Triage, events: u64) -> Printing<'a> {
        Printing {
            args,
            suppressions,
            triage,
            digest: args.certificate.as_ref().map(|_| AlertDigest::default()),
            progress: Progress::new(events),
            out: output::stdout(),
            line: String::new(),
            written: Ok(()),
        }
    }

    /// Prints an alert, unless triage leaves it out.
    pub(super) fn alert(&mut self, alert: &Alert) {
        if let Some(digest) = &mut self.digest {
            digest.add(alert);
        }
        let fate = self.triage.judge(alert);
        let shown = match fate {
            Fate::Shown => true,
            Fate::Suppressed(_) => self.args.triage.show_suppressed,
            Fate::Repeated | Fate::Limited => false,
        };
        if shown && !self.args.triage.summary && self.written.is_ok() {
            let reason = triage::reason(self.suppressions, fate);
            let extras = Extras {
                ids: self.args.ids,
                suppressed: reason.as_ref().map(|(reason, at)| (*reason, at.as_str())),
            };
            self.line.clear();
            alert.print(self.args.shape(), extras, &mut self.line);
            self.written = self.progress.line(&mut self.out, &mut self.line);
        }
    }

    /// Prints what is printed at the end.
    pub(super) fn finish(self) -> anyhow::Result<Printed<'a>> {
        let Printing {
            args,
            suppressions,
            triage,
            digest,
            progress,
            mut out,
            line: _,
            written,
        } = self;
        drop(progress);
        written?;
        if args.triage.summary && args.json {
            writeln!(out, "{}", escape::json(&triage.summary.json().to_string()))?;
        } else if args.triage.summary {
            triage::table(&mut out, &triage.summary)?;
        }
        out.flush()?;
        Ok(Printed {
            suppressions,
            triage,
            digest,
        })
    }
}
