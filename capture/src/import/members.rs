//! What records in JSON have at a place, in the type that is wanted there.

use std::borrow::Cow;

use ctrace_trace::names;

use crate::json::{InOrder, Json};

/// The text at a path.
#[inline]
pub(super) fn text<'v>(record: Json<'v>, path: &[&str]) -> &'v str {
    at(record, path).and_then(Json::as_str).unwrap_or_default()
}

/// The text at a path, where there is one.
#[inline]
pub(super) fn bytes<'v>(record: Json<'v>, path: &[&str]) -> Option<Cow<'v, [u8]>> {
    bytes_of(text(record, path))
}

fn bytes_of(text: &str) -> Option<Cow<'_, [u8]>> {
    (!text.is_empty()).then_some(Cow::Borrowed(text.as_bytes()))
}

/// The number at a path, also where it is written as text.
pub(super) fn number(record: Json<'_>, path: &[&str]) -> Option<u64> {
    at(record, path).and_then(number_of)
}

#[inline]
fn number_of(value: Json<'_>) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// The same, of 32 bits.
#[inline]
pub(super) fn id(record: Json<'_>, path: &[&str]) -> Option<u32> {
    at(record, path).and_then(id_of)
}

fn id_of(value: Json<'_>) -> Option<u32> {
    number_of(value).and_then(|n| u32::try_from(n).ok())
}

#[inline]
fn at<'v>(record: Json<'v>, path: &[&str]) -> Option<Json<'v>> {
    path.iter().try_fold(record, |at, key| at.get(key))
}

/// The capabilities of a list of their names, some of which lack their first word.
pub(super) fn capabilities(record: Json<'_>, path: &[&str]) -> u64 {
    let list = at(record, path).and_then(Json::as_array).into_iter().flatten();
    let bits = list.filter_map(|name| names::capability(name.as_str()?));
    bits.fold(0, |set, bit| set | 1 << bit)
}

/// The members of one object, asked for in their order: see [`Json::in_order`].
pub(super) struct Fields<'v>(InOrder<'v>);

impl<'v> Fields<'v> {
    pub(super) fn of(object: Json<'v>) -> Fields<'v> {
        Fields(object.in_order())
    }

    pub(super) fn get(&mut self, name: &str) -> Option<Json<'v>> {
        self.0.get(name)
    }

    /// As [`text`].
    pub(super) fn text(&mut self, name: &str) -> &'v str {
        self.0.get(name).and_then(Json::as_str).unwrap_or_default()
    }

    /// As [`bytes`].
    pub(super) fn bytes(&mut self, name: &str) -> Option<Cow<'v, [u8]>> {
        bytes_of(self.text(name))
    }

    /// As [`number`].
    pub(super) fn number(&mut self, name: &str) -> Option<u64> {
        number_of(self.0.get(name)?)
    }

    /// As [`id`].
    pub(super) fn id(&mut self, name: &str) -> Option<u32> {
        id_of(self.0.get(name)?)
    }
}
