//! Output formats: text with `%field` tokens, checked when rules load.

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::EventView;
use ctrace_trace::catalogue::{self, Value};

use crate::condition;
use crate::diagnostics::Diagnostics;
use crate::engine::evaluate::{self, Place};
use crate::filter;
use crate::shown::{Escaping, Memory, Page, Slot};
use crate::source::Sources;
use crate::typed::atom::Extract;
use crate::typed::compile::{self, CompileError, ErrorKind};

/// A parsed output format: text with `%field` tokens.
#[derive(Debug)]
pub struct Format {
    pub(crate) tokens: Vec<Token>,
}

/// One piece of a format.
#[derive(Debug)]
pub(crate) enum Token {
    Text(String),
    Field {
        value: Extract,
        /// Pads or cuts to this many characters; 0 leaves the text alone.
        width: usize,
    },
}

/// Lines of a format, with values escaped so that a terminal shows them and does not obey them. The format's own text is
/// left as it is: whoever wrote it may want tabs.
#[derive(Debug)]
pub struct Lines {
    format: Format,
    /// The values of its fields, in their order.
    slots: Vec<Slot>,
    memory: Memory,
    page: Page,
}

impl Lines {
    /// Columns that must be decoded.
    pub fn needs(&self) -> Need {
        self.format.needs()
    }

    /// Begins another block: values of its dictionaries are looked up anew.
    pub fn begin(&mut self) {
        self.memory.forget();
        self.page.clear();
    }

    /// Appends the line of an event of the block, without a line feed.
    pub fn push(&mut self, event: EventView<'_>, out: &mut String) {
        if self.page.is_full() {
            self.begin();
        }
        let mut slots = self.slots.iter().enumerate();
        for token in &self.format.tokens {
            match token {
                Token::Text(text) => out.push_str(text),
                Token::Field { width, .. } => {
                    if let Some((number, slot)) = slots.next() {
                        let place = Place::Event(event);
                        let value = self.memory.value(number, slot, place, &mut self.page);
                        self.page.write(value, *width, Escaping::Terminal, out);
                    }
                }
            }
        }
    }
}

impl Format {
    /// Parses and checks a format that stands in no rules file.
    ///
    /// # Errors
    /// Everything that is wrong with it; the "file" of the messages is `format`.
    pub fn parse(text: &str) -> Result<Format, Diagnostics> {
        let (sources, id) = filter::sources_of("format", text);
        let mut errors = Vec::new();
        let format = Format::compile(text, id, &mut errors);
        filter::settle(&sources, errors)?;
        format.ok_or_else(Diagnostics::default)
    }

    /// Texts, each with the value that follows it, and a text at the end.
    pub(crate) fn made(parts: Vec<(String, Extract)>, end: &str) -> Format {
        let tokens = parts
            .into_iter()
            .flat_map(|(text, value)| [Token::Text(text), Token::Field { value, width: 0 }])
            .chain([Token::Text(end.to_owned())]);
        Format {
            tokens: tokens.collect(),
        }
    }

    /// Columns that must be decoded for [`Format::text`].
    pub fn needs(&self) -> Need {
        self.values().fold(Need::KIND, |n, v| n | v.needs())
    }

    /// The format with the values of an event; `<NA>` for absent ones. Bytes that are no text stay told apart (`\xNN`).
    pub fn text(&self, event: EventView<'_>) -> String {
        self.text_at(Place::Event(event))
    }

    /// The same of an event or a row.
    pub(crate) fn text_at(&self, place: Place<'_>) -> String {
        let mut out = String::new();
        for token in &self.tokens {
            match token {
                Token::Text(text) => out.push_str(text),
                Token::Field { value, width } => {
                    let mut page = Page::default();
                    let found = page.add(&evaluate::value(value, place).unwrap_or(Value::Absent));
                    page.write(found, *width, Escaping::None, &mut out);
                }
            }
        }
        out
    }

    /// Prints events one after the other.
    pub fn lines(self) -> Lines {
        let slots = self.values().map(|value| Slot::new(value.clone()));
        Lines {
            slots: slots.collect(),
            format: self,
            memory: Memory::default(),
            page: Page::default(),
        }
    }

    /// Parses a format; nothing when there were errors.
    ///
    /// A leading `*` says that absent values do not suppress the line. Alerts always print, as Falco's do, so the star
    /// changes nothing and is left out. `%container.info` is a relic that prints nothing.
    pub(crate) fn compile(text: &str, text_id: u32, errors: &mut Vec<CompileError>) -> Option<Format> {
        let before = errors.len();
        let mut tokens = Vec::new();
        let mut at = usize::from(text.starts_with('*'));
        while let Some(rest) = text.get(at..).filter(|r| !r.is_empty()) {
            let literal = rest.find('%').unwrap_or(rest.len());
            if literal > 0 {
                tokens.push(Token::Text(rest.get(..literal).unwrap_or("").to_owned()));
                at += literal;
                continue;
            }
            match Self::token(text, text_id, at, errors) {
                Ok((token, end)) => {
                    tokens.extend(token);
                    at = end;
                }
                Err(error) => {
                    errors.push(error);
                    at += 1;
                }
            }
        }
        if tokens.is_empty() {
            errors.push(CompileError::new(Sources::loc(text_id, 0), "the output is empty"));
        }
        let wrong = errors.iter().skip(before).any(|e| e.kind != ErrorKind::NeverRecorded);
        (!wrong).then_some(Format { tokens })
    }

    /// The token whose `%` stands at `at`, and where it ends.
    fn token(
        text: &str,
        text_id: u32,
        at: usize,
        notes: &mut Vec<CompileError>,
    ) -> Result<(Option<Token>, usize), CompileError> {
        let after = text.get(at + 1..).unwrap_or("");
        if after.starts_with("container.info") {
            return Ok((None, at + 1 + "container.info".len()));
        }
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let width = match after.get(..digits).filter(|d| !d.is_empty()).map(str::parse::<u16>) {
            None => 0,
            Some(Ok(width)) => usize::from(width),
            Some(Err(_)) => return Err(CompileError::new(Sources::loc(text_id, at), "the width is too large")),
        };
        let start = at + 1 + digits;
        let field = text.get(start..).unwrap_or("");
        // `%fd.name.` ends a sentence and `%fd.name[` begins a remark: names are tried from the longest on.
        let parsed = condition::parse_field(field, text_id, start)
            .map_err(|e| CompileError::new(e.loc, format!("after '%' in the output: {}", e.message)));
        let found = parsed.and_then(|(operand, len)| Ok((compile::extract(&operand, notes)?, len)));
        match found {
            Ok((value, len)) => Ok((Some(Token::Field { value, width }), start + len)),
            // Part of its name may be another field with an argument behind a dot.
            Err(error) if lacks_argument(field) => Err(error),
            Err(error) => shorter(field, text_id, start, width, error),
        }
    }

    /// Every value that the format shows.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Extract> {
        self.tokens.iter().filter_map(|t| match t {
            Token::Field { value, .. } => Some(value),
            Token::Text(_) => None,
        })
    }
}

/// The name that a text begins with, and the dots behind it.
fn name_at(text: &str) -> &str {
    let part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
    let len = text.bytes().take_while(part).count();
    text.get(..len).unwrap_or_default()
}

/// Whether a text that is no field begins with one that stands alone and must not.
fn lacks_argument(text: &str) -> bool {
    let name = name_at(text);
    catalogue::find(name).is_some() && !text.get(name.len()..).is_some_and(|after| after.starts_with('['))
}

/// Tries the name without what follows it, and without its last parts: in `%proc.name.exe` the text after `proc.name` is
/// literal, in `%user.name[uid=…` what begins with the bracket.
fn shorter(
    field: &str,
    text_id: u32,
    start: usize,
    width: usize,
    error: CompileError,
) -> Result<(Option<Token>, usize), CompileError> {
    for end in (1..=name_at(field).len()).rev() {
        let Some(prefix) = field.get(..end) else { continue };
        let Ok((operand, len)) = condition::parse_field(prefix, text_id, start) else {
            continue;
        };
        if len == end
            && let Ok(value) = compile::extract(&operand, &mut Vec::new())
        {
            return Ok((Some(Token::Field { value, width }), start + end));
        }
    }
    Err(error)
}
