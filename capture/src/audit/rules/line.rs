//! One line of a file of rules.

use std::path::Path;

use ctrace_trace::names;
use ctrace_trace::schema::Schema;

use super::fields::{self, Kind};
use super::rule::{Condition, MAX_FIELDS, Rule};
use super::{Setting, Step};
use crate::audit::RecordType;
use crate::host::Names;

/// Longest text of a condition and of all keys together (`AUDIT_MAX_KEY_LEN`, `PATH_MAX`).
const MAX_KEY: usize = 256;
const MAX_TEXT: usize = 4096;
/// Largest errno.
const MAX_ERRNO: i64 = 133;

/// What a line asks for; else what is wrong with it.
pub(super) fn step(line: &str, names: &Names) -> Result<Step, String> {
    let words = words(line)?;
    let mut words = words.iter().map(String::as_str);
    let option = words.next().unwrap_or_default();
    let mut argument = || words.next().ok_or_else(|| format!("{option} needs a value"));
    match option {
        "-a" | "-A" | "-d" | "-w" | "-W" => {
            let first = argument()?.to_owned();
            let rest: Vec<&str> = words.collect();
            rule(option, &first, &rest, names)
        }
        "-D" => match words.collect::<Vec<_>>()[..] {
            [] => Ok(Step::DeleteAll(None)),
            ["-k", key] => Ok(Step::DeleteAll(Some(key.as_bytes().to_vec()))),
            _ => Err("-D takes nothing but -k KEY".to_owned()),
        },
        "-e" | "-f" | "-r" | "-b" | "--backlog_wait_time" => {
            let value = argument()?;
            let value = value
                .parse()
                .map_err(|_| format!("{option} needs a number, not {value:?}"))?;
            set(option, value)
        }
        "-k" | "-F" | "-S" | "-C" | "-p" => Err(format!("{option} belongs behind -a, -A, -d or -w on one line")),
        _ => Err(format!(
            "{option:?} is nothing that a recording can undo: use -a, -A, -d, -w, -W, -D, -e, -f, -r, -b, \
             --backlog_wait_time, -c or -i"
        )),
    }
}

fn set(option: &str, value: u32) -> Result<Step, String> {
    let (setting, most) = match option {
        "-e" if value == 2 => {
            return Err(
                "-e 2 would lock the rules until a reboot, and a recording undoes what it sets: leave it out"
                    .to_owned(),
            );
        }
        "-e" => (Setting::Enabled, 1),
        "-f" => (Setting::Failure, 2),
        "-r" => (Setting::RateLimit, u32::MAX),
        "-b" => (Setting::BacklogLimit, u32::MAX),
        _ => (Setting::BacklogWaitTime, u32::MAX),
    };
    if value > most {
        return Err(format!("{option} is at most {most}"));
    }
    Ok(Step::Set(setting, value))
}

/// Words between blanks. Quotes and backslashes keep blanks together.
fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('\\', _) => word.get_or_insert_default().extend(chars.next()),
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match quote {
        Some(quote) => Err(format!("a quote {quote} is not closed")),
        None => Ok(words),
    }
}

fn rule(option: &str, first: &str, rest: &[&str], names: &Names) -> Result<Step, String> {
    let mut builder = match option {
        "-w" | "-W" => Builder::watch(first)?,
        _ => Builder::listed(first, option == "-A")?,
    };
    let mut rest = rest.iter();
    while let Some(option) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{option} needs a value"))?;
        match *option {
            "-F" => builder.condition(value, names)?,
            "-C" => builder.compare(value)?,
            "-S" => value.split(',').try_for_each(|name| builder.syscall(name))?,
            "-p" => builder.perm(value)?,
            "-k" => builder.keys.push((*value).to_owned()),
            _ => {
                return Err(format!(
                    "{option:?} does not belong to a rule: use -F, -C, -S, -p or -k"
                ));
            }
        }
    }
    let rule = Box::new(builder.finish()?);
    Ok(match option {
        "-d" | "-W" => Step::Delete(rule),
        _ => Step::Add(rule),
    })
}

/// A rule that is being read.
struct Builder {
    rule: Rule,
    keys: Vec<String>,
    is_watch: bool,
    has_syscalls: bool,
}

impl Builder {
    /// `-w PATH`.
    fn watch(path: &str) -> Result<Builder, String> {
        if !path.starts_with('/') {
            return Err(format!("{path:?} must be an absolute path"));
        }
        let path = match path.trim_end_matches('/') {
            "" => return Err("the root folder cannot be watched: name folders below it".to_owned()),
            path => path,
        };
        let field = if Path::new(path).is_dir() {
            fields::DIR
        } else {
            fields::PATH
        };
        let mut builder = Builder {
            rule: Rule::new(fields::EXIT, fields::ALWAYS),
            keys: Vec::new(),
            is_watch: true,
            has_syscalls: false,
        };
        builder.text(field, fields::EQUAL, path)?;
        let all = fields::PERMS.iter().map(|(_, bit)| bit).sum();
        builder.number(fields::PERM, fields::EQUAL, all)?;
        Ok(builder)
    }

    /// `-a LIST,ACTION`.
    fn listed(what: &str, first: bool) -> Result<Builder, String> {
        let (a, b) = what
            .split_once(',')
            .ok_or_else(|| format!("{what:?} must be LIST,ACTION or ACTION,LIST"))?;
        let read = |list, action| {
            Some((
                fields::number(fields::LISTS, list)?,
                fields::number(fields::ACTIONS, action)?,
            ))
        };
        let (list, action) = read(a, b).or_else(|| read(b, a)).ok_or_else(|| {
            format!("{what:?}: the list is one of user, task, exit, exclude, filesystem, the action always or never")
        })?;
        let list = if first { list | fields::PREPEND } else { list };
        Ok(Builder {
            rule: Rule::new(list, action),
            keys: Vec::new(),
            is_watch: false,
            has_syscalls: false,
        })
    }

    fn list(&self) -> u32 {
        self.rule.list & !fields::PREPEND
    }

    fn push(&mut self, condition: Condition) -> Result<(), String> {
        if self.rule.fields.len() >= MAX_FIELDS {
            return Err(format!("a rule has at most {MAX_FIELDS} conditions"));
        }
        self.rule.fields.push(condition);
        Ok(())
    }

    fn number(&mut self, field: u32, operator: u32, value: u32) -> Result<(), String> {
        self.push(Condition {
            field,
            operator,
            value,
            text: Vec::new(),
        })
    }

    fn text(&mut self, field: u32, operator: u32, text: &str) -> Result<(), String> {
        let most = if field == fields::KEY { MAX_KEY } else { MAX_TEXT };
        match u32::try_from(text.len()) {
            Ok(length) if text.len() <= most && length > 0 => self.push(Condition {
                field,
                operator,
                value: length,
                text: text.as_bytes().to_vec(),
            }),
            _ => Err(format!("{text:?} must have 1 to {most} bytes")),
        }
    }

    /// `-F FIELD OPERATOR VALUE`.
    fn condition(&mut self, what: &str, names: &Names) -> Result<(), String> {
        let (name, operator, value) = split(what)?;
        let declared = fields::FIELDS.iter().find(|(n, _, _)| *n == name);
        let Some((_, field, kind)) = declared else {
            return Err(format!("unknown field {name:?}; auditctl(8) lists them below -F"));
        };
        if *field == fields::ARCH && self.has_syscalls {
            return Err("arch must stand before -S, which is looked up in its table".to_owned());
        }
        match kind {
            Kind::Text => self.text(*field, operator, value),
            kind => self.number(*field, operator, read(*kind, value, names)?),
        }
    }

    /// `-C FIELD=FIELD`.
    fn compare(&mut self, what: &str) -> Result<(), String> {
        let (a, operator, b) = split(what)?;
        let pair = fields::COMPARISONS
            .iter()
            .find(|(x, y, _)| (*x, *y) == (a, b) || (*x, *y) == (b, a));
        match pair {
            Some((_, _, number)) if matches!(operator, fields::EQUAL | fields::NOT_EQUAL) => {
                self.number(fields::COMPARE, operator, *number)
            }
            _ => Err(format!(
                "{what:?} cannot be compared: = or != between two user fields or two group fields"
            )),
        }
    }

    /// `-S NAME`.
    fn syscall(&mut self, name: &str) -> Result<(), String> {
        if self.list() == fields::TASK {
            return Err("the list task knows no system calls: leave -S out".to_owned());
        }
        self.has_syscalls = true;
        if name == "all" {
            self.rule.all_syscalls();
            return Ok(());
        }
        let arch = self.rule.fields.iter().find(|f| f.field == fields::ARCH);
        let is_64 = arch.is_none_or(|a| a.value == fields::ARCH_64);
        let number = name.parse().ok().or_else(|| syscall_number(name, is_64));
        match number {
            Some(number) if self.rule.syscall(number) => Ok(()),
            _ => Err(format!(
                "no system call {name:?} in the {} bit table: check its spelling and -F arch",
                if is_64 { 64 } else { 32 }
            )),
        }
    }

    /// `-p PERMS`.
    fn perm(&mut self, letters: &str) -> Result<(), String> {
        let value = perms(letters)?;
        match self.rule.fields.iter_mut().find(|f| f.field == fields::PERM) {
            Some(perm) => perm.value = value,
            None => self.number(fields::PERM, fields::EQUAL, value)?,
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Rule, String> {
        if self.is_watch && (self.has_syscalls || self.rule.fields.len() != 2) {
            return Err("a watch takes -p and -k only: write it as -a always,exit -F path=…".to_owned());
        }
        if !self.has_syscalls && self.list() != fields::TASK {
            self.rule.all_syscalls();
        }
        if !self.keys.is_empty() {
            let keys = self.keys.join("\u{1}");
            self.text(fields::KEY, fields::EQUAL, &keys)?;
        }
        Ok(self.rule)
    }
}

fn split(what: &str) -> Result<(&str, u32, &str), String> {
    let at = what
        .find(['!', '<', '>', '=', '&'])
        .ok_or_else(|| format!("{what:?} has no operator: one of = != < > <= >= & &="))?;
    let (name, rest) = what.split_at(at);
    let operators = fields::OPERATORS.iter();
    let mut matching = operators.filter_map(|(text, number)| Some((rest.strip_prefix(text)?, *number)));
    match matching.next() {
        Some((value, operator)) if !value.is_empty() => Ok((name, operator, value)),
        _ => Err(format!("{what:?} must be FIELD OPERATOR VALUE without blanks")),
    }
}

fn read(kind: Kind, value: &str, names: &Names) -> Result<u32, String> {
    let known = |table: &[(&str, u32)]| {
        fields::number(table, value).ok_or_else(|| {
            let names: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
            format!("{value:?} is not one of {}", names.join(", "))
        })
    };
    let id = |named: Option<u32>, what: &str| {
        let unset = (value == "unset").then_some(u32::MAX);
        let id = unset.or_else(|| number(value)).or(named);
        id.ok_or_else(|| format!("no {what} {value:?} on this host"))
    };
    match kind {
        Kind::Number => {
            let unset = (value == "unset").then_some(u32::MAX);
            let id = unset.or_else(|| number(value));
            id.ok_or_else(|| format!("{value:?} is no number"))
        }
        Kind::User => {
            let user = names.users.iter().find(|(_, user)| user.name == value.as_bytes());
            id(user.map(|(id, _)| *id), "user")
        }
        Kind::Group => {
            let group = names.groups.iter().find(|(_, group)| group.name == value.as_bytes());
            id(group.map(|(id, _)| *id), "group")
        }
        Kind::Arch => known(fields::ARCHES),
        Kind::FileType => known(fields::FILE_TYPES),
        Kind::FsType => known(fields::FS_TYPES),
        Kind::Perm => perms(value),
        Kind::RecordType => {
            let named = RecordType::from_name(value.as_bytes()).map(|kind| u32::from(kind.0));
            let id = number(value).or(named);
            id.ok_or_else(|| format!("no record type {value:?}"))
        }
        Kind::Exit => {
            let id = number(value).or_else(|| errno(value));
            id.ok_or_else(|| format!("{value:?} is neither a number nor an errno such as -EACCES"))
        }
        Kind::Text => Err(format!("{value:?} is a text")),
    }
}

/// A decimal or hexadecimal number, possibly negative.
fn number(text: &str) -> Option<u32> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u32::from_str_radix(digits, 16).ok();
    }
    match text.strip_prefix('-') {
        Some(_) => text.parse::<i32>().ok().map(i32::cast_unsigned),
        None => text.parse().ok(),
    }
}

fn errno(text: &str) -> Option<u32> {
    let (negative, name) = match text.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, text),
    };
    let number = (1..=MAX_ERRNO).find(|n| names::errno(*n) == Some(name))?;
    let number = i32::try_from(if negative { -number } else { number }).ok()?;
    Some(number.cast_unsigned())
}

fn perms(letters: &str) -> Result<u32, String> {
    letters.chars().try_fold(0, |all, letter| {
        let bit = fields::PERMS.iter().find(|(l, _)| *l == letter).map(|(_, bit)| *bit);
        bit.map(|bit| all | bit)
            .ok_or_else(|| format!("{letter:?} is not one of r, w, x, a"))
    })
}

fn syscall_number(name: &str, is_64: bool) -> Option<u32> {
    let schema = Schema::current();
    let mut ids = schema.by_name(name).map(|spec| spec.id).filter(|id| id.is_syscall());
    let id = ids.find(|id| !id.is_unknown_syscall() && id.is_compat() != is_64)?;
    Some(u32::from(id.0 & 0x0FFF))
}
