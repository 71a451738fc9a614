//! Triage options of `ctrace replay`, and the table of counts.

use std::io::{self, Write};
use std::path::PathBuf;

use ctrace_replay::{
    Counts, Dedupe, Diagnostics, Fate, Inspection, RateLimit, RuleFile, Summary, Suppression, Suppressions, Triage,
    parse_span,
};
use ctrace_trace::escape;

use crate::{diagnosis, exit, output, rule_files};

/// What is done with alerts beside printing them.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Leave out alerts of a rule that repeat one shown within the window; with fields, only where they have the same
    /// values (--dedupe proc.name,container.id)
    #[arg(long, value_name = "FIELDS", num_args = 0..=1, require_equals = true, default_missing_value = "", value_delimiter = ',')]
    dedupe: Option<Vec<String>>,
    /// How long after an alert another repeats it, by the time of events
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = span, requires = "dedupe")]
    dedupe_window: u64,
    /// Show at most so many alerts of each rule in so much time of events (10/1m)
    #[arg(long, value_name = "N/TIME", value_parser = limit)]
    rate_limit: Option<String>,
    /// Files, or folders of files, that say which alerts are known to be false, why, and until when
    #[arg(long = "suppress", value_name = "FILE", num_args = 1..)]
    suppress: Vec<PathBuf>,
    /// Print suppressed alerts too, marked
    #[arg(long, requires = "suppress")]
    pub(crate) show_suppressed: bool,
    /// Print counts by rule, priority, container and technique in place of alerts
    #[arg(long)]
    pub(crate) summary: bool,
}

fn span(text: &str) -> Result<u64, String> {
    parse_span(text).ok_or_else(|| "not a time such as 30s, 5m, 1h".to_owned())
}

fn limit(text: &str) -> Result<String, String> {
    let good = RateLimit::parse(text).is_some();
    good.then(|| text.to_owned())
        .ok_or_else(|| "not a number of alerts and a time, such as 10/1m".to_owned())
}

impl Options {
    /// What is asked of alerts' events, and what decides over alerts; nothing where something is wrong with it, which
    /// has then been told. The questions cost decoding, so there are none where nothing was asked for.
    pub(crate) fn prepare(&self) -> anyhow::Result<Option<(Option<Inspection>, Triage)>> {
        let triage = Triage {
            dedupe: self.dedupe.as_ref().map(|_| Dedupe::new(self.dedupe_window)),
            limit: self.rate_limit.as_deref().and_then(RateLimit::parse),
            ..Triage::default()
        };
        if self.dedupe.is_none() && self.suppress.is_empty() && !self.summary {
            return Ok(Some((None, triage)));
        }
        let Some(suppressions) = self.suppressions()? else {
            return Ok(None);
        };
        let fields: Vec<String> = self
            .dedupe
            .iter()
            .flatten()
            .filter(|f| !f.is_empty())
            .cloned()
            .collect();
        match Inspection::new(&fields, suppressions) {
            Ok(inspection) => Ok(Some((Some(inspection), triage))),
            Err(wrong) => {
                let what = wrong.0.first().map_or_else(String::new, |d| d.message.clone());
                Err(exit::usage(anyhow::anyhow!("--dedupe: {what}")))
            }
        }
    }

    fn suppressions(&self) -> anyhow::Result<Option<Suppressions>> {
        let texts = rule_files::read(&self.suppress, "suppressions")?;
        let files: Vec<RuleFile<'_>> = texts.iter().map(|(name, text)| RuleFile { name, text }).collect();
        match Suppressions::load(&files) {
            Ok(found) => Ok(Some(found)),
            Err(Diagnostics(wrong)) => {
                diagnosis::print(&wrong, |name| texts.iter().find(|t| t.0 == name).map(|t| t.1.as_str()));
                Ok(None)
            }
        }
    }
}

/// What was left out, for stderr; nothing where nothing was.
pub(crate) fn left_out(counts: Counts) -> Option<String> {
    let parts = [
        (counts.suppressed, format!("{} suppressed", counts.suppressed)),
        (counts.repeated, output::count(counts.repeated, "repetition")),
        (counts.limited, format!("{} beyond the rate limit", counts.limited)),
    ];
    let told = parts.into_iter().filter(|(count, _)| *count > 0);
    let told: Vec<String> = told.map(|(_, text)| text).collect();
    (!told.is_empty()).then(|| format!("of the alerts {}", told.join(", ")))
}

/// What is odd about suppressions: those that expired, and those that covered nothing.
pub(crate) fn remarks(suppressions: &[Suppression], summary: &Summary) -> Vec<String> {
    let mut out = Vec::new();
    for (i, entry) in suppressions.iter().enumerate() {
        let place = format!("{}:{}", entry.file, entry.line);
        match summary.suppressions.get(&i) {
            None => out.push(format!("{place}: this suppression covers no alert")),
            Some((_, 0)) => {}
            Some((_, expired)) => out.push(format!(
                "{place}: this suppression expired before {} it would cover",
                output::count(*expired, "alert")
            )),
        }
    }
    out
}

/// Why an alert is suppressed, and where that is said.
pub(crate) fn reason(suppressions: &[Suppression], fate: Fate) -> Option<(&str, String)> {
    let Fate::Suppressed(by) = fate else { return None };
    let entry = suppressions.get(by)?;
    Some((&entry.reason, format!("{}:{}", entry.file, entry.line)))
}

/// The counts as tables.
pub(crate) fn table(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    let total = &summary.total;
    writeln!(
        out,
        "{}: {} shown, {} suppressed, {} repeated, {} limited",
        output::count(total.all(), "alert"),
        total.shown,
        total.suppressed,
        total.repeated,
        total.limited
    )?;
    for (source, rules) in &summary.idle {
        writeln!(
            out,
            "{} had no events of {} to look at",
            output::count(*rules, "rule"),
            escape::text(source)
        )?;
    }
    if summary.incomplete > 0 {
        writeln!(out, "{} of them have losses near them", summary.incomplete)?;
    }
    if let Some((first, last)) = summary.range {
        writeln!(out, "from {} to {}", output::time(first), output::time(last))?;
    }
    section(out, "rule", summary.rules.iter().map(|(k, c)| (k.clone(), *c)))?;
    section(
        out,
        "priority",
        summary.priorities.iter().map(|(k, c)| (k.to_string(), *c)),
    )?;
    section(
        out,
        "container",
        summary.containers.iter().map(|(k, c)| (k.clone(), *c)),
    )?;
    section(
        out,
        "technique",
        summary.techniques.iter().map(|(k, c)| (k.clone(), *c)),
    )
}

fn section(out: &mut impl Write, name: &str, counts: impl Iterator<Item = (String, Counts)>) -> io::Result<()> {
    let mut rows: Vec<Vec<String>> = counts
        .map(|(key, c)| {
            let numbers = [c.shown, c.suppressed, c.repeated, c.limited].map(|n| n.to_string());
            numbers.into_iter().chain([escape::text(&key)]).collect()
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let head = ["shown", "suppressed", "repeated", "limited", name];
    rows.insert(0, head.map(str::to_owned).to_vec());
    writeln!(out)?;
    output::table(out, "  ", &rows)
}
