//! Values as outputs show them. A value is made text once, on a page that lines of the same block share, and escaped
//! when it is written into a line.

mod escaping;
mod memory;

use ctrace_trace::catalogue::Value;
use ctrace_trace::escape;
use serde_json::Value as Json;

use escaping::is_plain;
pub(crate) use escaping::{Escaping, Piece};
pub(crate) use memory::{Memory, Slot};

/// How much text a page takes before the next is begun: values of single events have no other bound.
pub(crate) const FULL: usize = 1 << 26;

/// A value on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    start: u32,
    len: u32,
    form: Form,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `<NA>` in text, `null` in JSON.
    Absent,
    /// A number or truth value: the same in both.
    Bare,
    /// Text that no [`Escaping`] changes.
    Plain,
    /// Any other text.
    Text,
    /// Several texts: start and length are those of a part of the page's items.
    List,
}

impl Shown {
    pub(crate) const ABSENT: Shown = Shown {
        start: 0,
        len: 0,
        form: Form::Absent,
    };
}

/// Values of the events of a block.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Bytes that are no text are told apart as `\xNN`.
    text: String,
    items: Vec<Shown>,
}

impl Page {
    /// Whether it is time for another one.
    pub(crate) fn is_full(&self) -> bool {
        self.text.len() > FULL || self.items.len() > FULL
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.items.clear();
    }

    /// Puts a value on the page.
    pub(crate) fn add(&mut self, value: &Value<'_>) -> Shown {
        match value {
            Value::Absent => Shown::ABSENT,
            Value::Bool(b) => self.put(if *b { "true" } else { "false" }, Form::Bare),
            Value::Int(v) => self.put(itoa::Buffer::new().format(*v), Form::Bare),
            Value::Uint(v) => self.put(itoa::Buffer::new().format(*v), Form::Bare),
            Value::Str(s) => self.bytes(s),
            Value::Ip(ip) => self.put(&ip.to_string(), Form::Plain),
            Value::List(items) => {
                let found: Vec<Shown> = items.iter().map(|item| self.bytes(item)).collect();
                let start = self.items.len() as u32;
                self.items.extend(found);
                Shown {
                    start,
                    len: items.len() as u32,
                    form: Form::List,
                }
            }
        }
    }

    fn bytes(&mut self, bytes: &[u8]) -> Shown {
        let text = escape::lossless(bytes);
        let form = if is_plain(&text) { Form::Plain } else { Form::Text };
        self.put(&text, form)
    }

    fn put(&mut self, text: &str, form: Form) -> Shown {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        Shown {
            start,
            len: text.len() as u32,
            form,
        }
    }

    fn text(&self, shown: Shown) -> &str {
        let start = shown.start as usize;
        self.text.get(start..start + shown.len as usize).unwrap_or_default()
    }

    fn items(&self, shown: Shown) -> &[Shown] {
        let start = shown.start as usize;
        self.items.get(start..start + shown.len as usize).unwrap_or_default()
    }

    /// Writes a value as it stands in a line; padded or cut to a width other than 0.
    #[inline]
    pub(crate) fn write(&self, shown: Shown, width: usize, escaping: Escaping, out: &mut String) {
        match shown.form {
            Form::Bare | Form::Plain if width == 0 => out.push_str(self.text(shown)),
            _ => self.write_odd(shown, width, escaping, out),
        }
    }

    fn write_odd(&self, shown: Shown, width: usize, escaping: Escaping, out: &mut String) {
        if width > 0 {
            // On a terminal the width is that of what is seen; elsewhere that of the value.
            let (before, after) = match escaping {
                Escaping::Terminal => (Escaping::Terminal, Escaping::None),
                other => (Escaping::None, other),
            };
            let mut whole = String::new();
            self.write(shown, 0, before, &mut whole);
            let cut: String = whole.chars().take(width).collect();
            after.push(&cut, out);
            out.extend(std::iter::repeat_n(' ', width.saturating_sub(whole.chars().count())));
            return;
        }
        match shown.form {
            Form::Absent => out.push_str("<NA>"),
            Form::Bare | Form::Plain => out.push_str(self.text(shown)),
            Form::Text => escaping.push(self.text(shown), out),
            Form::List => {
                for (i, item) in self.items(shown).iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { " " });
                    self.write(*item, 0, escaping, out);
                }
            }
        }
    }

    /// Writes a value as JSON.
    pub(crate) fn write_json(&self, shown: Shown, escaping: Escaping, out: &mut String) {
        match shown.form {
            Form::Absent => out.push_str("null"),
            Form::Bare => out.push_str(self.text(shown)),
            Form::Plain | Form::Text => {
                out.push('"');
                self.write(shown, 0, escaping, out);
                out.push('"');
            }
            Form::List => {
                out.push('[');
                for (i, item) in self.items(shown).iter().enumerate() {
                    out.push_str(if i == 0 { "" } else { "," });
                    self.write_json(*item, escaping, out);
                }
                out.push(']');
            }
        }
    }

    /// A value as JSON in memory.
    pub(crate) fn json(&self, shown: Shown) -> Json {
        match shown.form {
            Form::Plain | Form::Text => self.text(shown).into(),
            Form::List => self.items(shown).iter().map(|item| self.json(*item)).collect(),
            Form::Absent => Json::Null,
            // Numbers and truth values are JSON.
            Form::Bare => serde_json::from_str(self.text(shown)).unwrap_or_default(),
        }
    }
}
