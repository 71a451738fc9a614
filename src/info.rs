//! `ctrace info`: what a case holds.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;

use ctrace_trace::artifact::Artifact;
use ctrace_trace::case::{Case, Copies, Late, Loss};
use ctrace_trace::escape;
use ctrace_trace::event::EventType;
use ctrace_trace::segment::{About, Totals};
use ctrace_trace::snapshot::AuditState;
use serde_json::{Value, json};

use crate::imported::{self, ImportedFile};
use crate::losses;
use crate::output::{self, size, span, table, time};

/// Arguments of `ctrace info`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Case folder or segment file
    case: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Show this many event types
    #[arg(long, default_value_t = 15, value_name = "N")]
    types: usize,
}

/// Prints it.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let case = output::open_case(&args.case)?;
    let (losses, mut problems) = case.losses();
    let (late, unread) = case.late();
    problems.extend(unread);
    problems.extend(case.late_facts(output::threads()).problems().iter().cloned());
    let (imported, unread) = imported::files(&case);
    problems.extend(unread);
    let artifacts = case.artifacts();
    problems.extend(artifacts.problems);
    let copies = case.copies();
    problems.extend(copies.problems.iter().cloned());
    problems.sort();
    problems.dedup();
    // What is damaged of it is told by whoever reads all of it.
    let last = case.segments().iter().next_back();
    let host = last.and_then(|last| last.snapshot().ok()?).unwrap_or_default();
    let facts = Facts {
        case: &case,
        audit: host.audit,
        unread: host.incomplete,
        about: case.segments().first().map(|s| &s.header().about),
        totals: case.totals(),
        losses,
        late,
        imported,
        artifacts: artifacts.all,
        copies,
    };
    let mut out = output::stdout();
    if args.json {
        writeln!(out, "{}", escape::json(&serde_json::to_string_pretty(&facts.json())?))?;
    } else {
        facts.text(&mut out, args.types)?;
    }
    out.flush()?;
    output::report(&problems);
    Ok(output::exit_code(
        case.problems().iter().chain(&problems),
        crate::exit::DONE,
    ))
}

struct Facts<'a> {
    case: &'a Case,
    /// The audit subsystem when the last segment was begun.
    audit: Option<AuditState>,
    /// What could not be read of the host then, and why.
    unread: Vec<(String, String)>,
    about: Option<&'a About>,
    totals: Totals,
    losses: Vec<Loss>,
    late: Vec<Late>,
    imported: Vec<ImportedFile>,
    artifacts: Vec<Artifact>,
    copies: Copies,
}

impl Facts<'_> {
    fn bytes(&self) -> u64 {
        self.case.segments().iter().map(|s| s.len()).sum()
    }

    fn bytes_per_event(&self) -> f64 {
        self.bytes() as f64 / self.totals.events.max(1) as f64
    }

    /// Event types by falling count.
    fn types(&self) -> Vec<(String, u64)> {
        let name = |id: EventType| {
            let specs = self.case.segments().iter().filter_map(|s| s.header().schema.get(id));
            let name = specs
                .map(|s| s.name.clone())
                .next()
                .unwrap_or_else(|| format!("type {}", id.0));
            if id.is_compat() {
                format!("{name} (32-bit)")
            } else {
                name
            }
        };
        let mut types: Vec<(String, u64)> = self.totals.by_type.iter().map(|(id, n)| (name(*id), *n)).collect();
        types.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        types
    }

    fn text(&self, out: &mut impl Write, types: usize) -> io::Result<()> {
        if let Some(about) = self.about {
            origin(out, about, !self.imported.is_empty())?;
        }
        for file in &self.imported {
            file.text(out)?;
        }
        if let Some((from, to)) = self.totals.ts {
            writeln!(out, "time       {} to {}", time(from), time(to))?;
            writeln!(out, "duration   {}", span(to.saturating_sub(from)))?;
        }
        writeln!(out, "events     {}", self.totals.events)?;
        let sources: Vec<Vec<String>> = self
            .totals
            .by_source
            .iter()
            .map(|(s, n)| vec![n.to_string(), s.to_string()])
            .collect();
        table(out, "  ", &sources)?;
        let all = self.types();
        writeln!(out, "types      {}", all.len())?;
        let rows: Vec<Vec<String>> = all
            .iter()
            .take(types)
            .map(|(name, n)| vec![n.to_string(), name.clone()])
            .collect();
        table(out, "  ", &rows)?;
        if all.len() > types {
            writeln!(out, "  … {} more (--types N)", all.len() - types)?;
        }
        self.containers(out)?;
        self.artifact_text(out)?;
        self.audit_text(out)?;
        self.unread_text(out)?;
        self.loss_text(out)?;
        for late in &self.late {
            writeln!(
                out,
                "late       {} {} events stand up to {} behind newer ones",
                late.count,
                escape::text(&late.source),
                span(late.delay_ns)
            )?;
        }
        self.segments(out)
    }

    fn containers(&self, out: &mut impl Write) -> io::Result<()> {
        let facts = self.case.late_facts(output::threads());
        writeln!(out, "containers {}", facts.containers().count())?;
        let rows: Vec<Vec<String>> = facts
            .containers()
            .map(|c| {
                vec![
                    c.short_id().to_owned(),
                    escape::text(&format!("{} {}", or_dash(&c.name), or_dash(&c.image))),
                ]
            })
            .collect();
        table(out, "  ", &rows)
    }

    fn artifact_text(&self, out: &mut impl Write) -> io::Result<()> {
        if self.artifacts.is_empty() && self.copies.count == 0 && self.copies.problems.is_empty() {
            return Ok(());
        }
        let (all, digests) = self.digests();
        let copies = match &self.copies {
            copies if copies.count == 0 && !copies.problems.is_empty() => ", copies that may not be read".to_owned(),
            copies if copies.count == 0 => String::new(),
            copies => format!(", {} copies with {}", copies.count, size(copies.bytes)),
        };
        writeln!(
            out,
            "artifacts  {all} executed or loaded, {digests} with SHA-256{copies}"
        )
    }

    /// How many files and programs there are, and of how many the digest is known.
    fn digests(&self) -> (usize, usize) {
        let identity = |a: &Artifact| (a.kind, a.id, a.dev, a.ino, a.ctime, a.mtime, a.path.clone());
        let all: BTreeSet<_> = self.artifacts.iter().map(identity).collect();
        let with = self.artifacts.iter().filter(|a| a.sha256.is_some());
        (all.len(), with.map(identity).collect::<BTreeSet<_>>().len())
    }

    fn audit_text(&self, out: &mut impl Write) -> io::Result<()> {
        let Some(audit) = &self.audit else { return Ok(()) };
        let state = match audit.enabled {
            0 => "off",
            1 => "on",
            _ => "on and immutable",
        };
        let rules = output::count(audit.rules.len() as u64, "rule");
        writeln!(out, "audit      {state}, {rules}")
    }

    fn unread_text(&self, out: &mut impl Write) -> io::Result<()> {
        for (what, why) in &self.unread {
            writeln!(out, "not read   {}", escape::text(&format!("{what}: {why}")))?;
        }
        Ok(())
    }

    fn loss_text(&self, out: &mut impl Write) -> io::Result<()> {
        if self.losses.is_empty() {
            return writeln!(out, "losses     none");
        }
        let total = losses::total(&self.losses);
        let gaps = output::count(self.losses.len() as u64, "gap");
        writeln!(out, "losses     {total} in {gaps}")?;
        for window in losses::windows(&self.losses) {
            writeln!(out, "  {}", losses::line(&window))?;
        }
        Ok(())
    }

    fn segments(&self, out: &mut impl Write) -> io::Result<()> {
        let blocks = self.case.blocks().count();
        writeln!(
            out,
            "segments   {} with {}, {}, {:.2} bytes per event",
            self.case.segments().len(),
            output::count(blocks as u64, "block"),
            size(self.bytes()),
            self.bytes_per_event()
        )?;
        for s in self.case.segments() {
            let name = s.path().file_name().unwrap_or_default().to_string_lossy();
            let state = if s.is_open() { "unfinished" } else { "closed" };
            writeln!(
                out,
                "  {}  {}, {}, {state}",
                escape::text(&name),
                size(s.len()),
                output::count(s.blocks().len() as u64, "block")
            )?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let about = self.about.map(|a| {
            json!({
                "case_id": a.case_id.to_string(),
                "tool": {"name": a.tool.name, "version": a.tool.version},
                "host": {
                    "name": a.host.name, "machine_id": a.host.machine_id, "boot_id": a.host.boot_id,
                    "kernel_release": a.host.kernel_release, "kernel_version": a.host.kernel_version,
                    "arch": a.host.arch, "cpus": a.host.cpus, "os": a.host.os,
                },
                "command_line": a.capture.command_line,
                "sources": a.capture.sources,
                "missing": a.capture.missing.iter().map(|(what, why)| json!({"what": what, "why": why})).collect::<Vec<_>>(),
            })
        });
        let sources: serde_json::Map<String, Value> = self
            .totals
            .by_source
            .iter()
            .map(|(s, n)| (s.to_string(), json!(n)))
            .collect();
        json!({
            "about": about,
            "from": self.totals.ts.map(|(from, _)| time(from)),
            "to": self.totals.ts.map(|(_, to)| time(to)),
            "imported": self.imported.iter().map(ImportedFile::json).collect::<Vec<_>>(),
            "events": self.totals.events,
            "events_by_source": sources,
            "events_by_type": self.types().into_iter().map(|(n, c)| (n, json!(c))).collect::<serde_json::Map<_, _>>(),
            "containers": self.case.late_facts(output::threads()).containers()
                .map(|c| json!({"id": c.id, "name": c.name, "image": c.image})).collect::<Vec<_>>(),
            "artifacts": {
                "count": self.digests().0, "with_sha256": self.digests().1,
                "copies": self.copies.count, "copied_bytes": self.copies.bytes,
                "copies_all_seen": self.copies.problems.is_empty(),
            },
            "audit": self.audit.as_ref().map(|a| json!({
                "enabled": a.enabled != 0, "immutable": a.enabled == 2, "rules": a.rules,
            })),
            "not_read": self.unread.iter().map(|(what, why)| json!({
                "what": what, "reason": why,
            })).collect::<Vec<_>>(),
            "losses": self.losses.iter().map(losses::json).collect::<Vec<_>>(),
            "late": self.late.iter().map(|l| json!({
                "source": l.source, "count": l.count, "delay_ns": l.delay_ns,
            })).collect::<Vec<_>>(),
            "segments": self.case.segments().iter().map(|s| json!({
                "file": s.path().file_name().unwrap_or_default().to_string_lossy(),
                "bytes": s.len(), "blocks": s.blocks().len(), "closed": !s.is_open(),
            })).collect::<Vec<_>>(),
            "bytes": self.bytes(),
            "bytes_per_event": self.bytes_per_event(),
        })
    }
}

fn origin(out: &mut impl Write, about: &About, imported: bool) -> io::Result<()> {
    let host = &about.host;
    writeln!(out, "case       {}", about.case_id)?;
    // What was imported may be silent about its host, or about all but its name.
    match (host.name.is_empty(), host.os.is_empty()) {
        (true, true) => writeln!(out, "host       not known")?,
        (_, true) => writeln!(out, "host       {}", escape::text(&host.name))?,
        _ => writeln!(
            out,
            "host       {} ({})",
            escape::text(&host.name),
            escape::text(&host.os)
        )?,
    }
    let kernel = [&host.kernel_release, &host.arch, &host.kernel_version];
    let kernel: Vec<String> = kernel
        .iter()
        .filter(|t| !t.is_empty())
        .map(|t| escape::text(t))
        .collect();
    if !kernel.is_empty() {
        writeln!(out, "kernel     {}", kernel.join(" "))?;
    }
    if !host.boot_id.is_empty() {
        writeln!(out, "boot id    {}", escape::text(&host.boot_id))?;
    }
    let made = if imported { "imported" } else { "recorded" };
    writeln!(
        out,
        "{made}   by {} {}: {}",
        about.tool.name,
        about.tool.version,
        escape::text(&about.capture.command_line.join(" "))
    )?;
    for (what, why) in &about.capture.missing {
        writeln!(out, "missing    {}: {}", escape::text(what), escape::text(why))?;
    }
    Ok(())
}

fn or_dash(s: &str) -> &str {
    if s.is_empty() { "-" } else { s }
}
