//! Named sets of syscalls, as `--syscalls` takes them.

use super::{Category, Lane, Syscall, i386, row, table};
use crate::event::EventType;

/// The names that [`set`] knows beside those of single syscalls, with what they hold.
pub const SET_NAMES: [(&str, &str); 5] = [
    ("all", "every syscall"),
    (
        "security",
        "all that rules look at, and what keeps the process and descriptor tables right",
    ),
    ("files", "opening, naming, owning, mounting files"),
    ("net", "sockets"),
    ("process", "process life, identity, signals, namespaces"),
];

/// Bulk syscalls without which a descriptor or a process would be taken for another one.
const UPKEEP: [&str; 5] = ["close", "close_range", "fcntl", "pipe2", "mprotect"];

/// The event types of a named set, or of all syscalls of that name, in ascending order and in both tables; `None` for a
/// name that is neither.
pub fn set(name: &str) -> Option<Vec<EventType>> {
    let wanted: fn(&Syscall) -> bool = match name {
        "all" => |_| true,
        "security" => |s| s.lane != Lane::Bulk || UPKEEP.contains(&s.name),
        "files" => |s| s.category == Category::File,
        "net" => |s| s.category == Category::Net || s.name == "socketpair",
        "process" => {
            |s| matches!(s.category, Category::Process | Category::User | Category::Signal) && s.lane != Lane::Bulk
        }
        _ => return single(name),
    };
    let all = name == "all";
    Some(every().filter(|kind| row(*kind).map_or(all, wanted)).collect())
}

fn single(name: &str) -> Option<Vec<EventType>> {
    let native = table().iter().filter(|s| s.name == name).map(|s| EventType(s.nr));
    let compat = i386::names().filter(|(_, n)| *n == name).map(|(nr, _)| compat(nr));
    let found: Vec<EventType> = native.chain(compat).collect();
    (!found.is_empty()).then_some(found)
}

fn every() -> impl Iterator<Item = EventType> {
    let native = table().iter().map(|s| EventType(s.nr));
    native.chain(i386::names().map(|(nr, _)| compat(nr)))
}

fn compat(nr: u16) -> EventType {
    EventType::compat_syscall(u32::from(nr))
}
