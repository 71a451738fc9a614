//! Which syscalls to record, as the user names them: sets and single calls, joined by commas.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use ctrace_trace::event::EventType;
use ctrace_trace::schema::Schema;
use ctrace_trace::syscalls::{self, SET_NAMES};

/// In every set.
const UNKNOWN: [EventType; 2] = [EventType::UNKNOWN_SYSCALL, EventType::UNKNOWN_COMPAT_SYSCALL];

/// Syscalls by the names they were asked for with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyscallSet {
    text: String,
    /// `None`: all, and whatever a later kernel may have.
    kinds: Option<BTreeSet<EventType>>,
}

impl SyscallSet {
    /// What rules look at: recorded unless asked otherwise.
    pub fn security() -> SyscallSet {
        SyscallSet {
            text: "security".to_owned(),
            kinds: Some(syscalls::set("security").into_iter().flatten().chain(UNKNOWN).collect()),
        }
    }

    /// Every syscall.
    pub fn all() -> SyscallSet {
        SyscallSet {
            text: "all".to_owned(),
            kinds: None,
        }
    }

    /// Whether nothing is left out.
    pub fn is_all(&self) -> bool {
        self.kinds.is_none()
    }

    /// Whether a type of event was asked for. A call that no table knows always is.
    pub fn holds(&self, kind: EventType) -> bool {
        match &self.kinds {
            None => true,
            Some(kinds) => !kind.is_syscall() || kinds.contains(&kind) || Schema::current().get(kind).is_none(),
        }
    }
}

impl fmt::Display for SyscallSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for SyscallSet {
    type Err = String;

    fn from_str(text: &str) -> Result<SyscallSet, String> {
        let mut kinds = BTreeSet::from(UNKNOWN);
        for name in text.split(',').map(str::trim) {
            kinds.extend(syscalls::set(name).ok_or_else(|| unknown(name))?);
        }
        let all = text.split(',').any(|name| name.trim() == "all");
        Ok(SyscallSet {
            text: text.to_owned(),
            kinds: (!all).then_some(kinds),
        })
    }
}

/// Names a set or syscall that looks like the one that there is not.
fn unknown(name: &str) -> String {
    let schema = Schema::current();
    let declared = schema
        .specs()
        .iter()
        .filter(|s| s.id.is_syscall())
        .map(|s| s.name.as_str());
    let names = SET_NAMES.iter().map(|(name, _)| *name).chain(declared);
    match names.min_by_key(|known| strsim::damerau_levenshtein(known, name)) {
        Some(nearest) if !name.is_empty() => format!("no set or syscall is named {name:?}; the nearest is {nearest:?}"),
        _ => "names of sets and syscalls, joined by commas".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> EventType {
        Schema::current().by_name(name).next().expect(name).id
    }

    #[test]
    fn sets_and_names_add_up() {
        let set: SyscallSet = "net,openat".parse().expect("known names");
        for (name, holds) in [("connect", true), ("openat", true), ("open", false), ("read", false)] {
            assert_eq!(set.holds(kind(name)), holds, "{name}");
        }
        let others = [EventType::DOCKER, EventType::PROCEXIT];
        assert!(UNKNOWN.into_iter().chain(others).all(|kind| set.holds(kind)));
        assert!(set.holds(EventType::syscall(511)), "a number that no table has");
        assert_eq!(set.to_string(), "net,openat");
        assert!(
            "read,all"
                .parse::<SyscallSet>()
                .expect("known names")
                .holds(kind("futex"))
        );
    }

    #[test]
    fn the_default_is_the_set_of_that_name() {
        assert_eq!("security".parse(), Ok(SyscallSet::security()));
    }

    #[test]
    fn an_unknown_name_is_refused_with_its_neighbour() {
        for (name, nearest) in [("opneat", "openat"), ("securty", "security"), ("file", "files")] {
            let error = name.parse::<SyscallSet>().expect_err("unknown");
            assert!(error.ends_with(&format!("the nearest is {nearest:?}")), "{error}");
        }
        assert!("".parse::<SyscallSet>().is_err() && "read,,write".parse::<SyscallSet>().is_err());
    }
}
