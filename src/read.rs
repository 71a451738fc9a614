//! `ctrace read`: the events of a case, one a line.

use std::io::Write;
use std::path::PathBuf;

use ctrace_replay::{Filter, Format};
use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::{Decoded, EventView};
use ctrace_trace::case::Case;
use ctrace_trace::catalogue::{self, Field, FieldArg, Value};
use ctrace_trace::escape;
use ctrace_trace::event::{Arg, Source};
use ctrace_trace::segment::{BlockReader, Problem};
use ctrace_trace::{render, schema};
use serde_json::{Map, Value as Json, json};

use crate::{exit, output};

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
    /// What a line shows, with %fields ("%evt.time %proc.name %fd.name")
    #[arg(short = 'p', long = "print", value_name = "FORMAT", conflicts_with = "json")]
    format: Option<String>,
    /// One JSON object a line, with every field that the event has
    #[arg(long)]
    json: bool,
    /// Stop after this many events
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<u64>,
    /// Show what was known when the event was recorded, not what the case learned later
    #[arg(long, value_enum, default_value_t = Resolve::Case)]
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

/// Prints them.
pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    let text = args.filter.join(" ");
    let filter = if text.trim().is_empty() {
        None
    } else {
        Some(Filter::parse(&text).map_err(exit::usage)?)
    };
    let printer = if args.json {
        Printer::Json(json_fields())
    } else {
        let format = args.format.as_deref().unwrap_or(DEFAULT_FORMAT);
        Printer::Text(Format::parse(format).map_err(exit::usage)?)
    };
    let case = output::open_case(&args.case)?;
    let problems = Reading {
        case: &case,
        filter,
        printer,
        left: args.limit.unwrap_or(u64::MAX),
    }
    .run(args.resolve)?;
    output::report(&problems);
    Ok(output::exit_code(case.problems().iter().chain(&problems), exit::DONE))
}

enum Printer {
    Text(Format),
    Json(Vec<&'static Field>),
}

struct Reading<'a> {
    case: &'a Case,
    filter: Option<Filter>,
    printer: Printer,
    left: u64,
}

impl Reading<'_> {
    fn run(mut self, resolve: Resolve) -> anyhow::Result<Vec<Problem>> {
        let mut out = output::stdout();
        let mut reader = BlockReader::new();
        let mut problems = Vec::new();
        let late = (resolve == Resolve::Case).then(|| self.case.late_facts(output::threads()));
        let wanted = self.filter.as_ref().map_or(Need::NOTHING, Filter::needs);
        let shown = match &self.printer {
            Printer::Text(format) => format.needs(),
            Printer::Json(_) => Need::ALL,
        };
        for block in self.case.blocks() {
            if self.left == 0 {
                break;
            }
            let mut rows = None;
            if let Some(filter) = &self.filter {
                // First only what the condition needs: most blocks end here.
                match reader.read(block, wanted) {
                    Ok(decoded) => {
                        late.inspect(|late| late.resolve(decoded));
                        let found = filter.rows(decoded);
                        if found.is_empty() {
                            continue;
                        }
                        rows = Some(found);
                    }
                    Err(problem) => {
                        problems.push(problem);
                        continue;
                    }
                }
            }
            match reader.read(block, wanted | shown) {
                Ok(decoded) => {
                    late.inspect(|late| late.resolve(decoded));
                    self.print(&mut out, decoded, rows.as_deref())?;
                }
                Err(problem) => problems.push(problem),
            }
        }
        out.flush()?;
        Ok(problems)
    }

    fn print(&mut self, out: &mut impl Write, block: &Decoded, rows: Option<&[u32]>) -> anyhow::Result<()> {
        let all = 0..if rows.is_some() { 0 } else { block.len };
        let some = rows.unwrap_or_default().iter().map(|r| *r as usize);
        for row in all.chain(some) {
            if self.left == 0 {
                return Ok(());
            }
            self.left -= 1;
            let event = block.event(row);
            match &self.printer {
                Printer::Text(format) => writeln!(out, "{}", format.render(event))?,
                Printer::Json(fields) => {
                    serde_json::to_writer(&mut *out, &object(event, fields))?;
                    writeln!(out)?;
                }
            }
        }
        Ok(())
    }
}

/// The fields that make sense for any event: those with a column, but for the text of all arguments.
fn json_fields() -> Vec<&'static Field> {
    catalogue::all()
        .filter(|f| f.column.is_some() && f.name != "evt.args")
        .collect()
}

fn object(event: EventView<'_>, fields: &[&'static Field]) -> Json {
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
