//! `ctrace read`: the events of a case, one a line.

mod logs;
mod questions;
mod records;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use ctrace_replay::{Diagnostics, Filter, Format, Lines};
use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::{Decoded, EventView};
use ctrace_trace::case::{Case, LateFacts};
use ctrace_trace::catalogue::{self, Field, FieldArg, Value};
use ctrace_trace::escape;
use ctrace_trace::event::{Arg, Source};
use ctrace_trace::segment::{BlockReader, BlockRef, Problem};
use ctrace_trace::{render, schema};
use serde_json::{Map, Value as Json, json};

use crate::progress::Progress;
use crate::{diagnosis, exit, output};
use logs::Logs;
use questions::Questions;
use records::Records;

/// What a line shows unless `-p` says otherwise.
const DEFAULT_FORMAT: &str =
    "%evt.num %evt.time.iso8601 %evt.cpu %container.name %proc.name (%proc.pid:%thread.tid) %evt.type %evt.args";

/// Arguments of `ctrace read`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Case folder or segment file
    case: PathBuf,
    /// Show only events for which this condition in Falco's language holds ("proc.name=cat and evt.type=openat")
    filter: Vec<String>,
    /// What a line shows, with %fields ("%evt.time %proc.name %fd.name"); %12proc.name pads or cuts to 12 characters;
    /// `c` (container) and `k` (kubernetes) are sysdig's formats
    #[arg(short = 'p', long = "print", value_name = "FORMAT", conflicts_with = "json")]
    format: Option<String>,
    /// One JSON object a line, with every field that the event has
    #[arg(short, long)]
    json: bool,
    /// Show what containers wrote as `docker logs` does: the lines alone
    #[arg(long, conflicts_with_all = ["format", "json", "interpret"])]
    logs: bool,
    /// With --logs: begin each line with its time
    #[arg(short, long, requires = "logs")]
    timestamps: bool,
    /// Show audit events record by record with what their fields mean, as `ausearch -i` does
    #[arg(short, long, conflicts_with_all = ["format", "json", "relative"])]
    interpret: bool,
    /// Stop after this many events
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    /// Show only the last N of the events that are selected
    #[arg(long, value_name = "N", conflicts_with_all = ["limit", "follow"])]
    tail: Option<usize>,
    /// Go on while the case is being recorded: show events as their blocks are written
    #[arg(short, long)]
    follow: bool,
    /// Begin each line with the seconds since the first event of the case
    #[arg(long, conflicts_with = "json")]
    relative: bool,
    /// Show failures and the sources of events in colour
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN", conflicts_with = "json")]
    color: Color,
    #[command(flatten, next_help_heading = "Questions of ausearch, docker events and docker logs")]
    questions: Questions,
    /// Whose knowledge names containers: the whole case's, or only what was known when an event was recorded
    #[arg(long, value_enum, default_value_t = Resolve::Case, value_name = "WHOSE")]
    resolve: Resolve,
}

/// Which knowledge names containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Resolve {
    /// Of the whole case: a name that was told later counts for earlier events.
    Case,
    /// Of the moment of recording.
    Recorded,
}

/// When lines are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

impl Color {
    fn is_wanted(self) -> bool {
        match self {
            Color::Auto => io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
            Color::Always => true,
            Color::Never => false,
        }
    }
}

/// A case that is followed is looked at this often.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// Prints them.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let (Some(filter), Some(printer)) = (args.filter(), args.printer()) else {
        return Ok(exit::USAGE);
    };
    // Before it is opened: what is written meanwhile is looked at again.
    let mut seen = files(&args.case);
    let mut case = output::open_case(&args.case)?;
    let mut reading = Reading {
        filter,
        printer,
        left: args.limit.unwrap_or(u64::MAX),
        tail: args.tail,
        span: args.questions.span(&case),
        next: 0,
        begin: args
            .relative
            .then(|| case.blocks().next().map_or(0, |b| b.head().base_ts)),
        color: args.color.is_wanted(),
    };
    let is_open = |case: &Case| args.follow && case.segments().iter().any(|s| s.is_open());
    let mut problems = reading.run(&case, args.resolve, is_open(&case))?;
    while is_open(&case) && reading.left > 0 {
        thread::sleep(LOOK_AGAIN);
        let now = files(&args.case);
        if now == seen {
            continue;
        }
        seen = now;
        case = Case::open(&args.case)?;
        problems.extend(reading.run(&case, args.resolve, is_open(&case))?);
    }
    problems.sort();
    problems.dedup();
    output::report(&problems);
    Ok(output::exit_code(case.problems().iter().chain(&problems), exit::DONE))
}

/// The files of a case with their lengths: while these do not change there is nothing new.
fn files(case: &Path) -> Vec<(PathBuf, u64)> {
    let folder = std::fs::read_dir(case).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.path()).collect();
    files.push(case.to_owned());
    files.sort();
    let length = |path: &PathBuf| std::fs::metadata(path).map_or(0, |m| m.len());
    files.into_iter().map(|path| (path.clone(), length(&path))).collect()
}

impl Args {
    /// The condition, where there is one; `None` when it is wrong, which has then been told.
    fn filter(&self) -> Option<Option<Filter>> {
        let lines = self.logs.then_some(logs::CONDITION);
        let text = self.questions.condition(&self.filter.join(" "), lines);
        if text.trim().is_empty() {
            return Some(None);
        }
        let filter = checked(&text, Filter::parse(&text))?;
        diagnosis::print(filter.warnings(), |_| Some(&text));
        Some(Some(filter))
    }

    /// What prints events; `None` when the format is wrong, which has then been told.
    fn printer(&self) -> Option<Printer> {
        if self.json {
            return Some(Printer::Json(json_fields(), Records::default()));
        }
        if self.logs {
            return checked("", Logs::new(self.timestamps)).map(Printer::Logs);
        }
        let text = self.format.as_deref().map_or(DEFAULT_FORMAT, known_format);
        let format = checked(text, Format::parse(text))?;
        Some(match self.interpret {
            true => Printer::Records(format.lines(), Records::default()),
            false => Printer::Text(format.lines()),
        })
    }
}

/// sysdig's words for formats.
fn known_format(text: &str) -> &str {
    match text {
        "c" | "container" => {
            "*%evt.num %evt.outputtime %evt.cpu %container.name (%container.id) %proc.name (%thread.tid) %evt.dir \
             %evt.type %evt.args"
        }
        "k" | "kubernetes" => {
            "*%evt.num %evt.outputtime %evt.cpu %k8s.pod.name (%container.id) %proc.name (%thread.tid) %evt.dir \
             %evt.type %evt.args"
        }
        other => other,
    }
}

/// What was parsed, or nothing when that failed and was told.
fn checked<T>(text: &str, parsed: Result<T, Diagnostics>) -> Option<T> {
    parsed.map_err(|e| diagnosis::print(&e.0, |_| Some(text))).ok()
}

enum Printer {
    Text(Lines),
    /// Records of audit events; other events as text.
    Records(Lines, Records),
    Json(Vec<&'static Field>, Records),
    /// Lines of containers.
    Logs(Logs),
}

struct Reading {
    filter: Option<Filter>,
    printer: Printer,
    left: u64,
    /// Only so many of the last ones are shown.
    tail: Option<usize>,
    /// From when to when, both included.
    span: (u64, u64),
    /// Number of the first event that was not looked at.
    next: u64,
    /// What times are relative to.
    begin: Option<u64>,
    color: bool,
}

impl Reading {
    /// Shows the events that were not looked at before.
    fn run(&mut self, case: &Case, resolve: Resolve, follow: bool) -> anyhow::Result<Vec<Problem>> {
        let mut out = output::stdout();
        let mut reader = BlockReader::new();
        let mut problems = Vec::new();
        let blocks: Vec<&BlockRef> = case.blocks().filter(|b| b.head().first_seq >= self.next).collect();
        let Some(last) = blocks.last() else {
            return Ok(problems);
        };
        if let Printer::Records(_, records) | Printer::Json(_, records) = &self.printer {
            records.learn(case);
        }
        self.next = last.head().first_seq.saturating_add(u64::from(last.head().events));
        let progress = Progress::new(case.totals().events.min(self.left));
        let late = (resolve == Resolve::Case).then(|| case.late_facts(output::threads()));
        problems.extend(late.iter().flat_map(|late| late.problems()).cloned());
        let mut tail = VecDeque::new();
        let mut line = String::new();
        for block in blocks {
            if self.left == 0 {
                break;
            }
            match self.block(&mut reader, block, late) {
                Ok(Some((decoded, rows))) => {
                    self.printer.begin();
                    for row in rows {
                        if !self.line(decoded.event(row as usize), &mut line)? {
                            continue;
                        }
                        match self.tail {
                            None => progress.line(&mut out, &mut line)?,
                            Some(n) => {
                                tail.push_back(std::mem::take(&mut line));
                                tail.drain(..tail.len().saturating_sub(n));
                            }
                        }
                    }
                }
                Ok(None) => {}
                Err(problem) => problems.push(problem),
            }
            progress.done(u64::from(block.head().events));
        }
        if let (Printer::Logs(logs), false) = (&self.printer, follow) {
            tail.extend(logs.rest());
        }
        for mut line in tail {
            progress.line(&mut out, &mut line)?;
        }
        out.flush()?;
        Ok(problems)
    }

    /// Makes the line of an event in place of what is there; false if the event ends no line.
    fn line(&mut self, event: EventView<'_>, line: &mut String) -> anyhow::Result<bool> {
        line.clear();
        let color = color(event).filter(|_| self.color);
        if let Some(color) = color {
            write!(line, "\x1b[{color}m")?;
        }
        if let Some(begin) = self.begin {
            // What was recorded late, or by another source, may be older than the first event.
            let sign = if event.ts() < begin { '-' } else { '+' };
            let ns = event.ts().abs_diff(begin);
            write!(line, "{sign}{}.{:09} ", ns / 1_000_000_000, ns % 1_000_000_000)?;
        }
        let ended = self.printer.push(event, line)?;
        if color.is_some() {
            line.push_str("\x1b[0m");
        }
        Ok(ended)
    }

    /// What a line takes.
    fn need(&self) -> Need {
        let mut need = self.printer.need();
        if self.begin.is_some() || self.span != (0, u64::MAX) {
            need |= Need::TS;
        }
        if self.color {
            need |= Need::KIND | Need::RET;
        }
        need
    }

    /// The rows of a block that are to be shown, and the block with what showing them takes.
    fn block<'r>(
        &mut self,
        reader: &'r mut BlockReader,
        block: &BlockRef,
        late: Option<&LateFacts>,
    ) -> Result<Option<(&'r Decoded, Vec<u32>)>, Problem> {
        let (from, to) = self.span;
        if block.head().max_ts < from || block.head().min_ts > to {
            return Ok(None);
        }
        let mut need = self.need();
        let mut rows = None;
        if let Some(filter) = &self.filter {
            // First only what the condition needs: most blocks end here.
            let Some(wanted) = filter.needs_of(block.schema(), block.head().kinds.iter().map(|k| k.id)) else {
                return Ok(None);
            };
            let found = filter.rows(resolved(reader.read(block, wanted)?, late));
            if found.is_empty() {
                return Ok(None);
            }
            need |= wanted;
            rows = Some(found);
        }
        let decoded = resolved(reader.read(block, need)?, late);
        let mut rows = rows.unwrap_or_else(|| (0..decoded.len as u32).collect());
        rows.retain(|row| self.span == (0, u64::MAX) || (from..=to).contains(&decoded.event(*row as usize).ts()));
        rows.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= rows.len() as u64;
        Ok(Some((decoded, rows)))
    }
}

/// The colour of a line, as terminals number them: red for failures, others for what does not come of system calls.
fn color(event: EventView<'_>) -> Option<u8> {
    let spec = event.spec()?;
    match spec.source {
        Source::Syscall if event.ret().is_some_and(|ret| (-4095..0).contains(&ret)) => Some(31),
        Source::Syscall => None,
        Source::Docker | Source::ContainerLog | Source::Log => Some(36),
        Source::Audit | Source::K8sAudit => Some(33),
        Source::Capture => Some(35),
    }
}

fn resolved<'r>(block: &'r mut Decoded, late: Option<&LateFacts>) -> &'r Decoded {
    if let Some(late) = late {
        late.resolve(block);
    }
    block
}

impl Printer {
    fn need(&self) -> Need {
        match self {
            Printer::Text(lines) => lines.needs(),
            Printer::Records(lines, _) => lines.needs() | Need::KIND | Need::ARGS_HOT,
            Printer::Json(..) => Need::ALL,
            Printer::Logs(logs) => logs.need(),
        }
    }

    /// Begins another block.
    fn begin(&mut self) {
        match self {
            Printer::Text(lines) | Printer::Records(lines, _) => lines.begin(),
            Printer::Json(..) | Printer::Logs(_) => {}
        }
    }

    /// Appends the line of an event; false if the event ends no line.
    fn push(&mut self, event: EventView<'_>, out: &mut String) -> anyhow::Result<bool> {
        match self {
            Printer::Logs(logs) => match logs.line(event) {
                Some(text) => out.push_str(&text),
                None => return Ok(false),
            },
            Printer::Text(lines) => lines.push(event, out),
            Printer::Records(lines, records) => match records.lines(event) {
                Some(text) => out.push_str(&text),
                None => lines.push(event, out),
            },
            Printer::Json(fields, records) => {
                let object = object(event, fields, records);
                out.push_str(&escape::json(&serde_json::to_string(&object)?));
            }
        }
        Ok(true)
    }
}

/// The fields that make sense for any event: those with a column, but for the text of all arguments.
fn json_fields() -> Vec<&'static Field> {
    let wanted = |f: &&Field| f.column.is_some() && f.name != "evt.args";
    catalogue::all().filter(wanted).collect()
}

fn object(event: EventView<'_>, fields: &[&'static Field], records: &Records) -> Json {
    let mut object = Map::new();
    object.insert("evt.num".to_owned(), json!(event.seq()));
    object.insert("evt.time.iso8601".to_owned(), json!(output::time(event.ts())));
    object.insert("evt.rawtime".to_owned(), json!(event.ts()));
    for field in fields {
        let value = field.of(event, &FieldArg::None);
        if value != Value::Absent {
            object.insert(field.name.to_owned(), typed(value));
        }
    }
    if let Some(records) = records.json(event) {
        object.insert("audit.records".to_owned(), records);
    }
    if let Some(spec) = event.spec() {
        let args: Map<String, Json> = spec
            .params
            .iter()
            .enumerate()
            .filter_map(|(slot, p)| Some((p.name.clone(), argument(event, slot, p)?)))
            .collect();
        // What the fields of these sources show already is not repeated as arguments.
        if !args.is_empty() && !matches!(spec.source, Source::Docker | Source::Audit) {
            object.insert("evt.args".to_owned(), Json::Object(args));
        }
    }
    Json::Object(object)
}

fn typed(value: Value<'_>) -> Json {
    match value {
        Value::Absent => Json::Null,
        Value::Bool(b) => json!(b),
        Value::Int(v) => json!(v),
        Value::Uint(v) => json!(v),
        Value::Str(s) => json!(escape::lossless(&s)),
        Value::Ip(ip) => json!(ip.to_string()),
        Value::List(items) => items.iter().map(|s| json!(escape::lossless(s))).collect(),
    }
}

/// Plain numbers as numbers; flags, enumerations and everything else as text.
fn argument(event: EventView<'_>, slot: usize, param: &schema::Param) -> Option<Json> {
    use schema::ParamKind::{Fd, Gid, Int, Pid, Size, Uid, Uint};
    match event.arg(slot) {
        Arg::Num(v) if matches!(param.kind, Int | Fd | Pid | Uid | Gid) => Some(json!(v)),
        Arg::Num(v) if matches!(param.kind, Uint | Size) => Some(json!(v.cast_unsigned())),
        _ => render::arg(event, slot).map(|text| json!(escape::lossless(&text))),
    }
}
