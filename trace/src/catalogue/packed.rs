//! Columns for what fields with brackets read: all values with their names in one text, so that one of them can be found
//! with the functions that every SQL engine has.
//!
//! Each item stands between two separators, U+001F: `␟flags=O_RDONLY␟mode=0␟`. A separator within an item is written as
//! `\x1f`.

use super::container::{labels_of, mounts_of};
use super::process::variables;
use super::{ArgRule, Basis, Field, FieldArg, FieldType, Getter, Value};
use crate::block::Need;
use crate::block::decoded::{EventView, ImageView};
use crate::render::{self, Shape};

/// What stands around each item.
pub(crate) const SEPARATOR: u8 = 0x1f;

/// Of most events all arguments together have less.
const TYPICAL: usize = 128;

/// Packs texts; absent where there are none.
pub(super) fn pack<'a>(items: impl Iterator<Item = Vec<u8>>) -> Value<'a> {
    let mut out = Vec::new();
    for item in items {
        out.push(SEPARATOR);
        let start = out.len();
        out.extend_from_slice(&item);
        escape(&mut out, start);
    }
    closed(out)
}

/// Writes separators within an item, which begins there and goes to the end, in another way.
fn escape(out: &mut Vec<u8>, start: usize) {
    let item = out.get(start..).unwrap_or_default();
    if memchr::memchr(SEPARATOR, item).is_none() {
        return;
    }
    let item = out.split_off(start);
    for byte in item {
        match byte {
            SEPARATOR => out.extend_from_slice(b"\\x1f"),
            byte => out.push(byte),
        }
    }
}

fn closed<'a>(mut out: Vec<u8>) -> Value<'a> {
    if out.is_empty() {
        return Value::Absent;
    }
    out.push(SEPARATOR);
    Value::owned(out)
}

/// The items of a packed text.
pub fn items(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| *b == SEPARATOR).filter(|item| !item.is_empty())
}

/// The value of the first item with that name.
pub fn find<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    items(text).find_map(|item| item.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

fn arguments<'a>(e: EventView<'a>, _: &FieldArg) -> Value<'a> {
    let mut out = Vec::with_capacity(TYPICAL);
    render::each(e, &mut out, &[SEPARATOR], escape);
    closed(out)
}

/// Appends `evt.arg` of an event of a type; `None` where there is none.
pub fn write_arguments<'a>(shape: &Shape<'a>, e: EventView<'a>, out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    shape.write_each(e, out, &[SEPARATOR], escape);
    (out.len() > start).then(|| out.push(SEPARATOR))
}

fn environment<'a>(p: ImageView<'a>, _: &FieldArg) -> Value<'a> {
    pack(variables(p).map(<[u8]>::to_vec))
}

fn labels<'a>(p: ImageView<'a>, _: &FieldArg) -> Value<'a> {
    let labels = labels_of(p).iter();
    pack(labels.map(|(key, value)| named(key.as_bytes(), value.as_bytes())))
}

/// Its parts are separated by U+001E.
fn mounts<'a>(p: ImageView<'a>, _: &FieldArg) -> Value<'a> {
    let parts = mounts_of(p).iter().map(|m| {
        let rw = m.rw.to_string();
        [&m.source, &m.dest, &m.mode, &rw, &m.propagation]
            .map(|s| s.as_bytes())
            .join(&0x1e)
    });
    pack(parts)
}

fn named(name: &[u8], value: &[u8]) -> Vec<u8> {
    [name, value].join(&b'=')
}

/// The columns, named after the field whose values they hold.
pub const PACKED: &[Field] = &[
    packed(
        "evt.arg",
        "evt_arg",
        "All of `evt.arg`: `NAME=VALUE` between separators (U+001F), what a value stands for in its place.",
        Getter::Event(arguments),
        super::arguments::ARGS,
    ),
    packed(
        "proc.env",
        "proc_env_variables",
        "The recorded environment variables, `NAME=VALUE` between separators (U+001F).",
        Getter::Process(environment),
        Need::NOTHING,
    ),
    packed(
        "container.label",
        "container_label",
        "All labels, `KEY=VALUE` between separators (U+001F).",
        Getter::Process(labels),
        Need::NOTHING,
    ),
    packed(
        "container.mount",
        "container_mount",
        "All mounts between separators (U+001F): source, destination, mode, whether it may be written, propagation, with U+001E between them.",
        Getter::Process(mounts),
        Need::NOTHING,
    ),
];

const fn packed(name: &'static str, column: &'static str, doc: &'static str, get: Getter, reads: Need) -> Field {
    Field {
        name,
        column: Some(column),
        ty: FieldType::Str,
        arg: ArgRule::None,
        doc,
        get,
        reads,
        of_socket: false,
        basis: match get {
            Getter::Event(_) => Basis::Arguments,
            _ => Basis::Event,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_found() {
        let Value::Str(text) = pack([b"a=1".to_vec(), b"ab=\x1f2".to_vec(), b"c=".to_vec()].into_iter()) else {
            panic!("there are items");
        };
        assert_eq!(find(&text, "a"), Some(&b"1"[..]));
        assert_eq!(find(&text, "ab"), Some(&b"\\x1f2"[..]));
        assert_eq!(find(&text, "c"), Some(&b""[..]));
        assert_eq!(find(&text, "b"), None);
        assert_eq!(items(&text).count(), 3);
        assert_eq!(pack(std::iter::empty()), Value::Absent);
    }
}
