//! Output formats: text with `%field` tokens, checked when rules load.

use crate::condition;
use crate::source::Sources;
use crate::typed::atom::Extract;
use crate::typed::compile::{self, CompileError, ErrorKind};

/// A parsed output format.
#[derive(Debug)]
pub(crate) struct Format {
    pub(crate) tokens: Vec<Token>,
}

/// One piece of a format.
#[derive(Debug)]
pub(crate) enum Token {
    Text(String),
    Field {
        value: Extract,
        /// Pads or cuts to this many bytes; 0 leaves the text alone.
        width: usize,
    },
}

impl Format {
    /// Parses a format; nothing when there were errors.
    ///
    /// A leading `*` says that absent values do not suppress the line. Alerts always print, as Falco's do, so the star
    /// changes nothing and is left out. `%container.info` is a relic that prints nothing.
    pub(crate) fn parse(text: &str, text_id: u32, errors: &mut Vec<CompileError>) -> Option<Format> {
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
        let (operand, len) = condition::parse_field(field, text_id, start)
            .map_err(|e| CompileError::new(e.loc, format!("after '%' in the output: {}", e.message)))?;
        // `%fd.name.` ends a sentence: names are tried from the longest on.
        match compile::extract(&operand, notes) {
            Ok(value) => Ok((Some(Token::Field { value, width }), start + len)),
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

/// Tries the name without its last parts: in `%proc.name.exe` the text after `proc.name` is literal.
fn shorter(
    field: &str,
    text_id: u32,
    start: usize,
    width: usize,
    error: CompileError,
) -> Result<(Option<Token>, usize), CompileError> {
    let name = field.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')).count();
    for end in (1..name).rev() {
        let Some(prefix) = field.get(..end) else { continue };
        let Ok((operand, len)) = condition::parse_field(prefix, text_id, start) else { continue };
        if len == end && let Ok(value) = compile::extract(&operand, &mut Vec::new()) {
            return Ok((Some(Token::Field { value, width }), start + end));
        }
    }
    Err(error)
}
