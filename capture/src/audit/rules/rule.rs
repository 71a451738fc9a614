//! One rule in the kernel's shape (`struct audit_rule_data`), and its text as `auditctl -l` shows it.

use std::fmt::Write;

use ctrace_trace::event::EventType;
use ctrace_trace::names;
use ctrace_trace::schema::Schema;

use super::fields::{self, Kind};
use crate::audit::RecordType;

/// Words of the set of system calls; the last is reserved.
const MASK_WORDS: usize = 64;
/// Most fields of a rule.
pub(super) const MAX_FIELDS: usize = 64;
/// Longest list, in words: flags, action, count, mask, and three words a field; then the length of the texts.
const FIXED_WORDS: usize = 3 + MASK_WORDS + 3 * MAX_FIELDS + 1;

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The list, with [`fields::PREPEND`] where the rule goes to its beginning.
    pub(super) list: u32,
    pub(super) action: u32,
    pub(super) mask: [u32; MASK_WORDS],
    pub(super) fields: Vec<Condition>,
}

/// One condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) field: u32,
    pub(super) operator: u32,
    /// The value; of a text its length.
    pub(super) value: u32,
    pub(super) text: Vec<u8>,
}

impl Rule {
    /// A rule without conditions.
    pub(super) fn new(list: u32, action: u32) -> Rule {
        Rule {
            list,
            action,
            mask: [0; MASK_WORDS],
            fields: Vec::new(),
        }
    }

    /// Takes in every system call.
    pub(super) fn all_syscalls(&mut self) {
        self.mask
            .iter_mut()
            .take(MASK_WORDS - 1)
            .for_each(|word| *word = u32::MAX);
    }

    /// Takes in one system call; false where the kernel has no room for its number.
    pub(super) fn syscall(&mut self, number: u32) -> bool {
        let word = self.mask.get_mut(number as usize / 32);
        word.map(|word| *word |= 1 << (number % 32)).is_some()
    }

    /// As the kernel keeps it, which forgets that a rule was put first.
    pub(crate) fn listed(&self) -> Rule {
        Rule {
            list: self.list & !fields::PREPEND,
            ..self.clone()
        }
    }

    /// As the kernel takes it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let text: Vec<u8> = self.fields.iter().flat_map(|f| f.text.iter().copied()).collect();
        let column = |of: fn(&Condition) -> u32| {
            let rest = MAX_FIELDS.saturating_sub(self.fields.len());
            self.fields.iter().map(of).chain(std::iter::repeat_n(0, rest))
        };
        let count = u32::try_from(self.fields.len()).unwrap_or(u32::MAX);
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let words = [self.list, self.action, count]
            .into_iter()
            .chain(self.mask)
            .chain(column(|f| f.field))
            .chain(column(|f| f.value))
            .chain(column(|f| f.operator))
            .chain([length]);
        words.flat_map(u32::to_ne_bytes).chain(text).collect()
    }

    /// Reads what the kernel lists.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Rule> {
        let words: Vec<u32> = bytes
            .chunks_exact(4)
            .take(FIXED_WORDS)
            .filter_map(|c| c.first_chunk().map(|w| u32::from_ne_bytes(*w)))
            .collect();
        let (list, action, count) = (*words.first()?, *words.get(1)?, *words.get(2)? as usize);
        let mask = words.get(3..3 + MASK_WORDS)?.try_into().ok()?;
        let mut texts = bytes.get(FIXED_WORDS * 4..)?;
        let at = |column: usize, i: usize| words.get(3 + MASK_WORDS + column * MAX_FIELDS + i).copied();
        let mut fields = Vec::new();
        for i in 0..count.min(MAX_FIELDS) {
            let (field, value, operator) = (at(0, i)?, at(1, i)?, at(2, i)?);
            let mut text = &texts[..0];
            if kind(field) == Some(Kind::Text) {
                (text, texts) = texts.split_at_checked(value as usize)?;
            }
            fields.push(Condition {
                field,
                operator,
                value,
                text: text.to_vec(),
            });
        }
        Some(Rule {
            list,
            action,
            mask,
            fields,
        })
    }

    /// The keys, if there are any.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        let keys = self.fields.iter().filter(|f| f.field == fields::KEY);
        keys.flat_map(|f| f.text.split(|b| *b == 1))
    }

    /// As `auditctl -l` shows it.
    pub fn text(&self) -> String {
        if let Some(watch) = self.watch() {
            return watch;
        }
        let list = self.list & !fields::PREPEND;
        let mut out = format!(
            "-a {},{}",
            named(fields::ACTIONS, self.action),
            named(fields::LISTS, list)
        );
        let arch = self.fields.iter().find(|f| f.field == fields::ARCH);
        if let Some(arch) = arch {
            let _ = write!(out, " -F {}", arch.shown());
        }
        if list == fields::EXIT {
            let _ = write!(out, " -S {}", self.syscalls(arch.map_or(fields::ARCH_64, |a| a.value)));
        }
        for condition in self.fields.iter().filter(|f| f.field != fields::ARCH) {
            let flag = if condition.field == fields::COMPARE { 'C' } else { 'F' };
            for shown in condition.shown().split('\u{1}') {
                let shown = if condition.field == fields::KEY && !shown.starts_with("key=") {
                    format!("key={shown}")
                } else {
                    shown.to_owned()
                };
                let _ = write!(out, " -{flag} {shown}");
            }
        }
        out
    }

    /// The short form of a rule that is nothing but a watch.
    fn watch(&self) -> Option<String> {
        let (first, rest) = self.fields.split_first()?;
        let (perm, keys) = rest.split_first()?;
        let plain = self.list == fields::EXIT
            && self.action == fields::ALWAYS
            && self.takes_all()
            && matches!(first.field, fields::PATH | fields::DIR)
            && first.operator == fields::EQUAL
            && perm.field == fields::PERM
            && keys.iter().all(|k| k.field == fields::KEY);
        if !plain {
            return None;
        }
        let mut out = format!("-w {}", String::from_utf8_lossy(&first.text));
        // A folder is told from a file by its end.
        if first.field == fields::DIR && !out.ends_with('/') {
            out.push('/');
        }
        let _ = write!(out, " -p {}", perms(perm.value));
        for key in self.keys() {
            let _ = write!(out, " -k {}", String::from_utf8_lossy(key));
        }
        Some(out)
    }

    fn takes_all(&self) -> bool {
        self.mask.iter().take(MASK_WORDS - 1).all(|word| *word == u32::MAX)
    }

    fn syscalls(&self, arch: u32) -> String {
        if self.takes_all() {
            return "all".to_owned();
        }
        let numbers = (0..MASK_WORDS as u32 * 32).filter(|n| {
            self.mask
                .get(*n as usize / 32)
                .is_some_and(|word| word >> (n % 32) & 1 == 1)
        });
        let named = numbers.map(|number| {
            let kind = match arch {
                fields::ARCH_64 => EventType::syscall(number),
                _ => EventType::compat_syscall(number),
            };
            Schema::current()
                .get(kind)
                .map_or_else(|| number.to_string(), |spec| spec.name.clone())
        });
        named.collect::<Vec<_>>().join(",")
    }
}

impl Condition {
    fn shown(&self) -> String {
        let operator = named(fields::OPERATORS, self.operator);
        if self.field == fields::COMPARE {
            let pair = fields::COMPARISONS.iter().find(|(_, _, n)| *n == self.value);
            return pair.map_or_else(
                || format!("{}{operator}?", self.value),
                |(a, b, _)| format!("{a}{operator}{b}"),
            );
        }
        let declared = fields::FIELDS.iter().find(|(_, number, _)| *number == self.field);
        let Some((name, _, kind)) = declared else {
            return format!("f{}{operator}{}", self.field, self.value);
        };
        format!("{name}{operator}{}", self.value_shown(*kind))
    }

    fn value_shown(&self, kind: Kind) -> String {
        let signed = self.value.cast_signed();
        match kind {
            Kind::Text => String::from_utf8_lossy(&self.text).into_owned(),
            Kind::User | Kind::Group if self.value == u32::MAX => "-1".to_owned(),
            Kind::User | Kind::Group => self.value.to_string(),
            Kind::Arch => named(fields::ARCHES, self.value),
            Kind::Perm => perms(self.value),
            Kind::FileType => named(fields::FILE_TYPES, self.value),
            Kind::FsType => named(fields::FS_TYPES, self.value),
            Kind::RecordType => u16::try_from(self.value)
                .map_or_else(|_| self.value.to_string(), |number| RecordType(number).to_string()),
            Kind::Exit => match names::errno(i64::from(signed).saturating_neg()) {
                Some(name) if signed < 0 => format!("-{name}"),
                _ => signed.to_string(),
            },
            Kind::Number if (200..=203).contains(&self.field) => format!("{:#x}", self.value),
            Kind::Number => signed.to_string(),
        }
    }
}

/// How a field's value is written.
pub(super) fn kind(field: u32) -> Option<Kind> {
    fields::FIELDS
        .iter()
        .find(|(_, number, _)| *number == field)
        .map(|(_, _, kind)| *kind)
}

fn named(table: &[(&str, u32)], number: u32) -> String {
    fields::name(table, number).map_or_else(|| number.to_string(), str::to_owned)
}

fn perms(value: u32) -> String {
    let letters = fields::PERMS.iter().filter(|(_, bit)| value & bit != 0);
    letters.map(|(letter, _)| *letter).collect()
}
