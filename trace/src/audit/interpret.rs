//! The fields of a record with what they mean beside what stands there, as `ausearch -i` shows them: names of users,
//! system calls, errors and flags, addresses, and text that the kernel wrote in hexadecimal.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::argument::Call;
use super::field::{Field, Value, fields};
use super::kind::Kind;
use super::record::Record;
use super::value::{self, Read};
use crate::calendar::Iso8601;
use crate::escape;
use crate::snapshot::HostSnapshot;

/// Names of the users and groups of the host that a log is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    users: BTreeMap<u32, String>,
    groups: BTreeMap<u32, String>,
}

impl Names {
    /// Takes over the names that a snapshot of the host has. Those that were learned before stay.
    pub fn learn(&mut self, snapshot: &HostSnapshot) {
        for user in &snapshot.users {
            self.users.entry(user.uid).or_insert_with(|| user.name.clone());
        }
        for group in &snapshot.groups {
            self.groups.entry(group.gid).or_insert_with(|| group.name.clone());
        }
    }

    pub(super) fn user(&self, id: u32) -> String {
        named(&self.users, id)
    }

    pub(super) fn group(&self, id: u32) -> String {
        named(&self.groups, id)
    }
}

fn named(names: &BTreeMap<u32, String>, id: u32) -> String {
    match (id, names.get(&id)) {
        (u32::MAX, _) => "unset".to_owned(),
        (_, Some(name)) => name.clone(),
        (0, None) => "root".to_owned(),
        (id, None) => format!("unknown({})", id.cast_signed()),
    }
}

/// A field with its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreted<'a> {
    /// The name as it is written.
    pub name: &'a [u8],
    /// The value as it is written, without quotes.
    pub raw: &'a [u8],
    /// What it means; the same as `raw` where it means itself.
    pub value: Cow<'a, [u8]>,
}

/// Reads the fields of records.
#[derive(Clone, Copy, Debug)]
pub struct Interpreter<'n> {
    names: &'n Names,
}

impl<'n> Interpreter<'n> {
    /// An interpreter that knows these names. What auditd's enriched format says of a record goes before them.
    pub fn new(names: &'n Names) -> Interpreter<'n> {
        Interpreter { names }
    }

    /// The fields of a record, in order. Several keys in one field are several fields.
    pub fn fields<'a>(&self, record: &Record<'a>) -> Vec<Interpreted<'a>> {
        let mut out = Vec::new();
        self.each(record, |field, values| {
            out.extend(values.into_iter().map(|value| Interpreted {
                name: field.name,
                raw: field.value.text(),
                value,
            }));
        });
        out
    }

    /// The first field of that name.
    pub fn field<'a>(&self, record: &Record<'a>, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        let call = Call::of(record);
        let field = fields(record.body).find(|f| f.name == name)?;
        self.values(record, &call, &field).into_iter().next()
    }

    /// The record's line with what its fields mean in place of what stands there. Times are UTC.
    pub fn line(&self, record: &Record<'_>) -> String {
        let mut out = String::new();
        if !record.stamp.node.is_empty() {
            out.push_str(&format!("node={} ", escape::bytes(record.stamp.node)));
        }
        out.push_str(&format!(
            "type={} msg=audit({}:{}) : ",
            record.kind,
            Iso8601(record.stamp.ts_ns),
            record.stamp.serial
        ));
        let mut at = 0;
        self.each(record, |field, values| {
            out.push_str(&escape::bytes(record.body.get(at..field.start).unwrap_or_default()));
            let shown: Vec<String> = values.iter().map(|v| escape::bytes(v)).collect();
            let again = format!(" {}=", escape::bytes(field.name));
            out.push_str(&shown.join(&again));
            at = field.end;
        });
        out.push_str(&escape::bytes(record.body.get(at..).unwrap_or_default()));
        out
    }

    fn each<'a>(&self, record: &Record<'a>, mut take: impl FnMut(&Field<'a>, Vec<Cow<'a, [u8]>>)) {
        let call = Call::of(record);
        for field in fields(record.body) {
            take(&field, self.values(record, &call, &field));
        }
    }

    fn values<'a>(&self, record: &Record<'a>, call: &Call<'a>, field: &Field<'a>) -> Vec<Cow<'a, [u8]>> {
        let kind = Kind::of(record.kind, field.name, field.value);
        if kind == Kind::Keys && !field.value.is_absent() {
            let joined = field.value.decoded();
            let keys = joined.split(|b| *b == 1).filter(|k| !k.is_empty());
            return keys.map(|k| Cow::Owned(k.to_vec())).collect();
        }
        let enriched = enriched(record, field.name);
        vec![enriched.unwrap_or_else(|| {
            let read = Read {
                names: self.names,
                call,
                value: field.value,
            };
            value::meaning(kind, &read).unwrap_or(Cow::Borrowed(field.value.text()))
        })]
    }
}

/// What auditd wrote beside the record: the field's name in capitals. What it did not know is asked again here.
fn enriched<'a>(record: &Record<'a>, name: &[u8]) -> Option<Cow<'a, [u8]>> {
    if record.enriched.is_empty() {
        return None;
    }
    let found = fields(record.enriched).find(|f| f.name.eq_ignore_ascii_case(name))?;
    match found.value {
        Value::Quoted(text) | Value::Bare(text) if text.starts_with(b"unknown") || text.is_empty() => None,
        value => Some(value.decoded_if_quoted_id(name)),
    }
}

impl<'a> Value<'a> {
    /// auditd writes names of users and groups as the kernel writes text: quoted, or in hexadecimal.
    fn decoded_if_quoted_id(self, name: &[u8]) -> Cow<'a, [u8]> {
        match self {
            Value::Bare(text) if !name.ends_with(b"id") => Cow::Borrowed(text),
            value => value.decoded(),
        }
    }
}
