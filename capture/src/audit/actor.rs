//! What the records of an event say of the process that acted, learned while they are read for the event itself.

use ctrace_trace::audit::{Field, RecordType, Value};

/// The process that acted, as far as the records tell.
///
/// The record of the system call knows; without one it is the records of the first one's type that are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Actor {
    told_by: Option<RecordType>,
    pub(crate) ppid: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) euid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) egid: Option<u32>,
    pub(crate) loginuid: Option<u32>,
    pub(crate) name: Text,
    pub(crate) exe_path: Text,
    pub(crate) cwd: Text,
    /// Name of `euid`.
    pub(crate) user: Text,
    /// Name of `uid`.
    pub(crate) real_user: Text,
    pub(crate) group: Text,
    pub(crate) login_user: Text,
    texts: Vec<u8>,
}

/// Where a text begins and ends among all; nothing where none was told. One memory for all is enough for the next event.
pub(crate) type Text = Option<(u32, u32)>;

impl Actor {
    /// Whether a record of this type says who acted. What was learned from another is forgotten, where it does not.
    pub(super) fn is_told_by(&mut self, kind: RecordType) -> bool {
        if self.told_by == Some(kind) {
            return true;
        }
        if self.told_by.is_some() && kind != RecordType::SYSCALL {
            return false;
        }
        let texts = std::mem::take(&mut self.texts);
        // Where it worked is told by a record of its own.
        let cwd = self.cwd;
        *self = Actor {
            told_by: Some(kind),
            cwd,
            texts,
            ..Actor::default()
        };
        true
    }

    /// Forgets everything, and keeps the memory.
    pub(super) fn clear(&mut self) {
        let mut texts = std::mem::take(&mut self.texts);
        texts.clear();
        *self = Actor {
            texts,
            ..Actor::default()
        };
    }

    /// Takes over a field of a record that says who acted.
    pub(super) fn learn(&mut self, field: &Field<'_>) {
        let value = field.value;
        let number = || u32::try_from(value.number()?).ok();
        match field.name {
            b"ppid" => self.ppid = number(),
            b"uid" => self.uid = number(),
            b"euid" => self.euid = number(),
            b"gid" => self.gid = number(),
            b"egid" => self.egid = number(),
            b"auid" => self.loginuid = number(),
            b"comm" => self.name = self.known(value),
            b"exe" => self.exe_path = self.known(value),
            _ => {}
        }
    }

    /// Takes over what auditd added to such a record.
    pub(super) fn learn_enriched(&mut self, name: &[u8], value: Value<'_>) {
        match name {
            b"EUID" => self.user = self.named(value),
            b"UID" => self.real_user = self.named(value),
            b"EGID" => self.group = self.named(value),
            b"AUID" => self.login_user = self.named(value),
            _ => {}
        }
    }

    fn known(&mut self, value: Value<'_>) -> Text {
        match value.is_absent() {
            true => None,
            false => self.keep(&value.decoded()),
        }
    }

    fn named(&mut self, value: Value<'_>) -> Text {
        match value.text() {
            b"unset" | b"unknown" => None,
            name => self.keep(name),
        }
    }

    /// Puts a text to the others.
    pub(super) fn keep(&mut self, text: &[u8]) -> Text {
        let start = u32::try_from(self.texts.len()).ok()?;
        self.texts.extend_from_slice(text);
        Some((start, u32::try_from(self.texts.len()).ok()?))
    }

    /// A text that was told.
    pub(crate) fn text(&self, text: Text) -> Option<&[u8]> {
        let (start, end) = text?;
        self.texts.get(start as usize..end as usize)
    }

    /// How much memory its texts have.
    pub(super) fn capacity(&self) -> usize {
        self.texts.capacity()
    }
}
