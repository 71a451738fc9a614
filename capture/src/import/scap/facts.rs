//! What the format's events carry, as `events.txt` declares it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// How a parameter is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// A number with a sign, of as many bytes as there are.
    Signed,
    /// A number without.
    Unsigned,
    /// Text that ends with a NUL.
    Text,
    /// A path, absolute or from the working directory.
    Path,
    /// A path that may start at a directory descriptor.
    PathAt,
    /// Anything.
    Bytes,
    /// One end of a socket.
    Address,
    /// Both ends of a socket.
    Tuple,
    /// A byte that says what follows, and that.
    Dynamic,
    /// What this importer has no use for.
    Other,
}

/// A parameter of an event.
#[derive(Clone, Debug)]
pub(super) struct ParamFacts {
    pub(super) name: &'static str,
    pub(super) kind: Type,
    /// Name of the set that its values are of.
    pub(super) set: Option<&'static str>,
}

/// An event.
#[derive(Clone, Debug)]
pub(super) struct EventFacts {
    pub(super) name: &'static str,
    /// Whether lengths of parameters have 32 bits.
    pub(super) large: bool,
    pub(super) params: Vec<ParamFacts>,
}

impl EventFacts {
    pub(super) fn param(&self, name: &str) -> Option<usize> {
        self.params.iter().position(|p| p.name == name)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Facts {
    events: Vec<Option<EventFacts>>,
    sets: BTreeMap<&'static str, Vec<(&'static str, u64)>>,
    calls: BTreeMap<u16, &'static str>,
}

impl Facts {
    pub(super) fn get() -> &'static Facts {
        static FACTS: LazyLock<Facts> = LazyLock::new(|| Facts::parse(include_str!("events.txt")));
        &FACTS
    }

    pub(super) fn event(&self, number: u16) -> Option<&EventFacts> {
        self.events.get(usize::from(number))?.as_ref()
    }

    pub(super) fn numbers(&self) -> u16 {
        u16::try_from(self.events.len()).unwrap_or(u16::MAX)
    }

    /// The words of a set with their values in the format.
    pub(super) fn set(&self, name: &str) -> &[(&'static str, u64)] {
        self.sets.get(name).map_or(&[], Vec::as_slice)
    }

    /// The name of a system call by the format's own number.
    pub(super) fn call(&self, number: u16) -> Option<&'static str> {
        self.calls.get(&number).copied()
    }

    fn parse(text: &'static str) -> Facts {
        let mut facts = Facts::default();
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            facts.line(line);
        }
        facts
    }

    /// Takes over a line; one that is not understood is left out, which a test would see.
    fn line(&mut self, line: &'static str) -> Option<()> {
        let mut words = line.split_whitespace();
        match words.next()? {
            "set" => {
                let name = words.next()?;
                let pairs = words.filter_map(|w| w.split_once('='));
                let pairs = pairs.filter_map(|(word, value)| Some((word, value.parse().ok()?)));
                self.sets.insert(name, pairs.collect());
            }
            "call" => {
                self.calls.insert(words.next()?.parse().ok()?, words.next()?);
            }
            number => {
                let number: u16 = number.parse().ok()?;
                let name = words.next()?;
                let event = EventFacts {
                    name: name.trim_end_matches('*'),
                    large: name.ends_with('*'),
                    params: words.filter_map(param).collect(),
                };
                let at = usize::from(number);
                if self.events.len() <= at {
                    self.events.resize(at + 1, None);
                }
                *self.events.get_mut(at)? = Some(event);
            }
        }
        Some(())
    }
}

fn param(word: &'static str) -> Option<ParamFacts> {
    let (name, rest) = word.split_once(':')?;
    let (kind, set) = match rest.split_once('=') {
        Some((kind, set)) => (kind, Some(set)),
        None => (rest, None),
    };
    let kind = match kind {
        "i8" | "i16" | "i32" | "i64" | "errno" | "fd" | "fd32" | "pid" | "pid32" => Type::Signed,
        "u8" | "u16" | "u32" | "u64" | "sc" | "sig" | "reltime" | "abstime" | "l4" | "family" | "bool" | "f8"
        | "f16" | "f32" | "uid" | "gid" | "sigset" | "mode" | "e8" | "e16" | "e32" | "port" => Type::Unsigned,
        "str" => Type::Text,
        "path" => Type::Path,
        "relpath" => Type::PathAt,
        "bytes" => Type::Bytes,
        "sockaddr" => Type::Address,
        "tuple" => Type::Tuple,
        "dyn" => Type::Dynamic,
        _ => Type::Other,
    };
    Some(ParamFacts { name, kind, set })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_facts_is_understood() {
        let text = include_str!("events.txt");
        let facts = Facts::get();
        let lines = |first: &dyn Fn(&str) -> bool| text.lines().filter(|l| first(l)).count();
        let events = facts.events.iter().flatten().count();
        assert_eq!(events, lines(&|l| l.starts_with(|c: char| c.is_ascii_digit())));
        assert_eq!(facts.sets.len(), lines(&|l| l.starts_with("set ")));
        assert_eq!(facts.calls.len(), lines(&|l| l.starts_with("call ")));
        let open = facts.event(3).map(|e| (e.name, e.params.len()));
        assert_eq!(open, Some(("open", 6)));
        for event in facts.events.iter().flatten() {
            for set in event.params.iter().filter_map(|p| p.set) {
                assert!(!facts.set(set).is_empty(), "{set}");
            }
        }
    }
}
