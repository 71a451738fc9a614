//! Output formats: text with `%field` tokens, checked when they are parsed.

use std::fmt::Write as _;

use ctrace_trace::block::Need;
use ctrace_trace::block::decoded::EventView;
use ctrace_trace::catalogue::Value;
use ctrace_trace::escape;

use crate::condition;
use crate::diagnostics::Diagnostics;
use crate::fields::FieldRef;
use crate::source::{Origin, Sources, Style, Text};
use crate::typed::atom::Extract;
use crate::typed::compile::{self, CompileError};
use crate::typed::eval::Subject;

/// A format for lines about events: `%evt.num %proc.name %fd.name`.
///
/// Falco's language: a number after the `%` pads or cuts the value to that width, values that are absent read `<NA>`, and
/// a `*` in front of the whole format asks for a line even where values are absent.
#[derive(Debug)]
pub struct Format {
    template: Template,
    keep_incomplete: bool,
}

impl Format {
    /// Parses a format.
    ///
    /// # Errors
    /// Unknown fields, fields that ctrace cannot know, and what is not of the language.
    pub fn parse(text: &str) -> Result<Format, Diagnostics> {
        let mut sources = Sources::default();
        let file = sources.add_file("format", text);
        let id = sources.add_text(Text::scalar(text, Origin { file, start: 0, style: Style::Verbatim }));
        let mut errors = Vec::new();
        let template = Template::parse(text, id, &mut errors);
        match template.filter(|_| errors.is_empty()) {
            Some(template) => Ok(Format { template, keep_incomplete: text.starts_with('*') }),
            None => Err(Diagnostics::of_text(errors, &sources)),
        }
    }

    /// Columns that must be decoded to render an event.
    pub fn needs(&self) -> Need {
        self.template.needs()
    }

    /// The line for an event, safe for terminals; `None` where a value is absent and the format does not begin with `*`.
    pub fn render(&self, event: EventView<'_>) -> Option<String> {
        let mut complete = true;
        let line = self.template.text(event, &mut |value| {
            complete &= *value != Value::Absent;
            shown(value, escape::bytes)
        });
        (complete || self.keep_incomplete).then_some(line)
    }
}

/// A value as output lines show it.
fn shown(value: &Value<'_>, bytes: impl Fn(&[u8]) -> String) -> String {
    match value {
        Value::Str(s) => bytes(s),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|i| bytes(i)).collect();
            format!("({})", items.join(","))
        }
        other => other.to_string(),
    }
}

/// A parsed format.
#[derive(Debug)]
pub(crate) struct Template {
    tokens: Vec<Token>,
}

/// One piece of a format.
#[derive(Debug)]
enum Token {
    Text(String),
    Field {
        value: Extract,
        /// Pads or cuts to this many characters; 0 leaves the text alone.
        width: usize,
    },
}

impl Template {
    /// Parses a format; nothing when there were errors.
    ///
    /// A leading `*` is left out: rules' alerts always print. `%container.info` is a relic that prints nothing.
    pub(crate) fn parse(text: &str, text_id: u32, errors: &mut Vec<CompileError>) -> Option<Template> {
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
            match token(text, text_id, at, errors) {
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
        let failed = errors.iter().skip(before).any(|e| !e.warning);
        if tokens.is_empty() && !failed {
            errors.push(CompileError::new(Sources::loc(text_id, 0), "the output is empty"));
            return None;
        }
        (!failed).then_some(Template { tokens })
    }

    /// Columns that must be decoded for it.
    pub(crate) fn needs(&self) -> Need {
        self.values().fold(Need::KIND, |need, value| need | value.needs())
    }

    /// The text for an event; recorded bytes stay as they are, as far as they are text.
    pub(crate) fn plain(&self, event: EventView<'_>) -> String {
        self.text(event, &mut |value| shown(value, |b| escape::lossless(b).into_owned()))
    }

    fn text(&self, event: EventView<'_>, show: &mut dyn FnMut(&Value<'_>) -> String) -> String {
        let mut out = String::new();
        for token in &self.tokens {
            match token {
                Token::Text(text) => out.push_str(text),
                Token::Field { value, width: 0 } => out.push_str(&show(&value.value(Subject::Event(event)))),
                Token::Field { value, width } => {
                    let text = show(&value.value(Subject::Event(event)));
                    // Writing to a string cannot fail.
                    let _ = write!(out, "{text:width$.width$}");
                }
            }
        }
        out
    }

    /// Every field that the format shows; of transformed values the fields inside.
    pub(crate) fn fields<'a>(&'a self, each: &mut dyn FnMut(&'a FieldRef)) {
        self.values().for_each(|value| value.fields(each));
    }

    fn values(&self) -> impl Iterator<Item = &Extract> {
        self.tokens.iter().filter_map(|t| match t {
            Token::Field { value, .. } => Some(value),
            Token::Text(_) => None,
        })
    }
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
    let (operand, len) = condition::parse_field(field, text_id, start)
        .map_err(|e| CompileError::new(e.loc, format!("after '%' in the output: {}", e.message)))?;
    // `%fd.name.` ends a sentence: names are tried from the longest on.
    match compile::extract(&operand, notes) {
        Ok(value) => Ok((Some(Token::Field { value, width }), start + len)),
        Err(error) => shorter(field, text_id, start, width, notes).ok_or(error),
    }
}

/// Tries the name without its last parts: in `%proc.name.exe` the text after `proc.name` is literal.
fn shorter(
    field: &str,
    text_id: u32,
    start: usize,
    width: usize,
    notes: &mut Vec<CompileError>,
) -> Option<(Option<Token>, usize)> {
    let name = field.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')).count();
    (1..name).rev().find_map(|end| {
        let prefix = field.get(..end)?;
        let (operand, len) = condition::parse_field(prefix, text_id, start).ok()?;
        let value = compile::extract(&operand, notes).ok().filter(|_| len == end)?;
        Some((Some(Token::Field { value, width }), start + end))
    })
}
