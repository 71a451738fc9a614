//! What is normal: learned from captures per image, and written as rules in Falco's language that report departures.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::EventView;
use ctrace_trace::case::Case;
use ctrace_trace::segment::{BlockReader, Problem};

use crate::condition::quoted;
use crate::diagnostics::Diagnostics;
use crate::engine::evaluate::{self, Place};
use crate::filter::Filter;
use crate::output::Format;

/// An image with more different values of a kind has no normal ones of that kind.
const MAX_VALUES: usize = 1_000;

/// One kind of thing that images do.
struct Kind {
    /// The word for it in names of lists and rules.
    name: &'static str,
    /// Which events do it.
    condition: &'static str,
    /// Which values tell one from another; several are compared together.
    fields: &'static [&'static str],
    /// What an alert says, after the image's name.
    output: &'static str,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "executables",
        condition: "evt.type in (execve, execveat) and evt.rawres = 0 and proc.exepath exists",
        fields: &["proc.exepath"],
        output: "Unknown program (exe=%proc.exepath command=%proc.cmdline parent=%proc.pname container=%container.name)",
    },
    Kind {
        name: "users",
        condition: "evt.type in (execve, execveat) and evt.rawres = 0 and user.uid exists",
        fields: &["user.uid"],
        output: "Unknown user (uid=%user.uid user=%user.name command=%proc.cmdline container=%container.name)",
    },
    Kind {
        name: "written_folders",
        condition: "evt.type in (open, openat, openat2, creat) and evt.is_open_write = true and fd.typechar = f \
                    and fd.directory exists and not fd.name startswith /proc/",
        fields: &["fd.directory"],
        output: "Unknown folder written (file=%fd.name command=%proc.cmdline container=%container.name)",
    },
    Kind {
        name: "connections",
        condition: "evt.type = connect and fd.sip exists and fd.sport exists",
        fields: &["fd.sip", "fd.sport"],
        output: "Unknown connection (connection=%fd.name command=%proc.cmdline container=%container.name)",
    },
];

/// Values of fields, each a tuple where a kind has several.
type Values = BTreeSet<Vec<String>>;

/// What was learned.
#[derive(Debug)]
pub struct Baseline {
    /// Per kind: its filter and a format of each field.
    kinds: Vec<(Filter, Vec<Format>)>,
    image: Format,
    id: Format,
    /// Per image, empty for the host: the values of each kind.
    images: BTreeMap<String, Vec<Values>>,
    cases: u64,
    events: u64,
    /// Events of containers whose image is not known, or with values that no rule can hold: they teach nothing.
    skipped: u64,
    problems: Vec<Problem>,
}

impl Baseline {
    /// Nothing learned yet.
    ///
    /// # Errors
    /// Never while the field catalogue has the fields that are looked at.
    pub fn new() -> Result<Baseline, Diagnostics> {
        let kind = |kind: &Kind| {
            let formats = kind.fields.iter().map(|f| Format::parse(&format!("%{f}")));
            Ok((
                Filter::parse(kind.condition)?,
                formats.collect::<Result<_, Diagnostics>>()?,
            ))
        };
        Ok(Baseline {
            kinds: KINDS.iter().map(kind).collect::<Result<_, Diagnostics>>()?,
            image: Format::parse("%container.image.repository")?,
            id: Format::parse("%container.id")?,
            images: BTreeMap::new(),
            cases: 0,
            events: 0,
            skipped: 0,
            problems: Vec::new(),
        })
    }

    /// Learns from a case.
    pub fn add(&mut self, case: &Case, threads: usize) {
        self.cases += 1;
        let mut reader = BlockReader::new();
        for block in case.blocks() {
            self.events += u64::from(block.head().events);
            let types = || block.head().kinds.iter().map(|k| k.id);
            let needs = self
                .kinds
                .iter()
                .filter_map(|(f, _)| f.needs_of(block.schema(), types()));
            let Some(need) = needs.reduce(|a, b| a | b) else {
                continue;
            };
            match reader.read(block, need | Need::IMAGES | Need::CONTEXT | Need::FD | Need::ARGS) {
                Err(problem) => self.problems.push(problem),
                Ok(decoded) => {
                    case.late_facts(threads).resolve(decoded);
                    for (kind, (filter, _)) in self.kinds.iter().enumerate() {
                        for row in filter.rows(decoded) {
                            let seen = self.seen(kind, decoded.event(row as usize));
                            learn(&mut self.images, &mut self.skipped, kind, seen);
                        }
                    }
                }
            }
        }
    }

    /// The image that an event belongs to and the values of a kind; nothing where no rule could hold them.
    fn seen(&self, kind: usize, event: EventView<'_>) -> Option<(String, Vec<String>)> {
        let image = if only(&self.id, event)? == "host" {
            String::new()
        } else {
            only(&self.image, event)?
        };
        let formats = self.kinds.get(kind).map(|(_, formats)| formats)?;
        let values: Option<Vec<String>> = formats.iter().map(|f| only(f, event)).collect();
        Some((image, values?))
    }

    /// Blocks that could not be read.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many images were met, the host included.
    pub fn images(&self) -> usize {
        self.images.len()
    }

    /// The rules that report what was not learned.
    pub fn rules(&self) -> String {
        let mut out = format!(
            "# What is normal, learned by `ctrace rules baseline learn` from {} captures with {} events. Edit it freely.\n",
            self.cases, self.events
        );
        // Writing to a string cannot fail.
        if self.skipped > 0 {
            let _ = writeln!(
                out,
                "# {} events taught nothing: their image is not known, or their values are no text.",
                self.skipped
            );
        }
        let known: Vec<String> = self.images.keys().filter(|i| !i.is_empty()).map(|i| item(i)).collect();
        let _ = writeln!(out, "\n- list: baseline_images\n  items: [{}]", known.join(", "));
        rule(
            &mut out,
            "Departure: unknown image",
            "A program was started in a container of an image that was not learned.",
            "evt.type in (execve, execveat) and evt.rawres = 0 and container.id != host and not container.image.repository \
             in (baseline_images)",
            "Unknown image (image=%container.image.repository command=%proc.cmdline container=%container.name)",
        );
        for (number, (image, kinds)) in self.images.iter().enumerate() {
            for (kind, values) in KINDS.iter().zip(kinds) {
                write_kind(&mut out, number, image, kind, values);
            }
        }
        out
    }
}

fn learn(
    images: &mut BTreeMap<String, Vec<Values>>,
    skipped: &mut u64,
    kind: usize,
    seen: Option<(String, Vec<String>)>,
) {
    let Some((image, values)) = seen else {
        *skipped += 1;
        return;
    };
    let kinds = images.entry(image).or_insert_with(|| vec![Values::new(); KINDS.len()]);
    if let Some(known) = kinds.get_mut(kind)
        && known.len() <= MAX_VALUES
    {
        known.insert(values);
    }
}

/// The value of a format's only field, where it is text.
fn only(format: &Format, event: EventView<'_>) -> Option<String> {
    let value = evaluate::value(format.values().next()?, Place::Event(event))?;
    match value {
        ctrace_trace::catalogue::Value::Str(text) => String::from_utf8(text.into_owned()).ok(),
        other => Some(other.to_string()),
    }
}

fn write_kind(out: &mut String, number: usize, image: &str, kind: &Kind, values: &Values) {
    let (of, place) = match image {
        "" => ("the host".to_owned(), "container.id = host".to_owned()),
        image => (
            image.to_owned(),
            format!("container.image.repository = {}", quoted(image)),
        ),
    };
    if values.len() > MAX_VALUES {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "\n# More than {MAX_VALUES} {} in {}: none of them is normal.",
            kind.name,
            one_line(&of)
        );
        return;
    }
    let list = format!("baseline_{number}_{}", kind.name);
    let normal = match (kind.fields, values.is_empty()) {
        (_, true) => None,
        ([field], false) => {
            let items: Vec<String> = values
                .iter()
                .flatten()
                .map(|v| format!("\n    - {}", item(v)))
                .collect();
            let _ = write!(out, "\n- list: {list}\n  items:{}\n", items.concat());
            Some(format!("{field} in ({list})"))
        }
        (fields, false) => {
            let one = |values: &Vec<String>| {
                let parts = fields.iter().zip(values).map(|(f, v)| format!("{f} = {}", quoted(v)));
                format!("({})", parts.collect::<Vec<_>>().join(" and "))
            };
            let all: Vec<String> = values.iter().map(one).collect();
            let _ = write!(
                out,
                "\n- macro: {list}\n  condition: >\n    {}\n",
                all.join("\n    or ")
            );
            Some(list)
        }
    };
    let normal = normal.map(|n| format!(" and not {n}")).unwrap_or_default();
    rule(
        out,
        &format!("Departure: {} of {}", kind.name.replace('_', " "), one_line(&of)),
        &format!(
            "Something that was not learned: {} of {}.",
            kind.name.replace('_', " "),
            one_line(&of)
        ),
        &format!("{} and {place}{normal}", kind.condition),
        kind.output,
    );
}

fn rule(out: &mut String, name: &str, description: &str, condition: &str, output: &str) {
    let json = |text: &str| serde_json::Value::from(text).to_string();
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        "\n- rule: {}\n  desc: {}\n  condition: {}\n  output: {}\n  priority: NOTICE\n  tags: [baseline]\n",
        json(name),
        json(description),
        json(condition),
        json(output),
    );
}

/// An item of a list, as YAML.
fn item(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_');
    let number = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let safe = number || (value.starts_with('/') && value.chars().all(plain));
    if safe {
        value.to_owned()
    } else {
        serde_json::Value::from(quoted(value)).to_string()
    }
}

fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
