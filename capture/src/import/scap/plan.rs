//! Which of our event types an event of the format is, and where its parameters come from.
//!
//! Parameters have the same names in both, so that most of it follows from the two tables. Until libs 0.20 some were
//! told at the entry into a call and some at its end; both are one event here, and what both tell counts as it was at
//! the end.

use std::sync::{Arc, LazyLock};

use ctrace_trace::event::EventType;
use ctrace_trace::schema::{EventSpec, FdUse, ParamKind, Schema};

use super::action::Action;
use super::facts::{EventFacts, Facts, Type};
use super::flags::{Mapping, mapping};

/// Where a value stands: in the event, or in that of the entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) exit: Option<u8>,
    pub(super) enter: Option<u8>,
    pub(super) kind: Type,
}

/// What becomes of a value.
#[derive(Clone, Debug)]
pub(super) enum Form {
    Number,
    /// A number of the format's own.
    Mapped(Mapping),
    /// Flags of `open`.
    Open(Mapping),
    Text,
    /// Texts, each followed by a NUL.
    List,
    /// A path from the working directory.
    Path,
    /// A path from a directory descriptor.
    PathAt(Option<Slot>),
    /// The address of the other end: the second of a tuple, or the first.
    Address {
        second: bool,
    },
}

/// How one event type of the format becomes one of ours.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) kind: EventType,
    pub(super) ret: Option<Slot>,
    pub(super) fd: Option<Slot>,
    pub(super) ret_is_fd: bool,
    pub(super) args: Vec<Option<(Slot, Form)>>,
    pub(super) data: Option<Slot>,
    pub(super) action: Action,
    /// Whether something is taken from the entry.
    pub(super) needs_enter: bool,
}

/// The plans of all events of the format.
#[derive(Debug)]
pub(super) struct Plans {
    plans: Vec<Option<Plan>>,
    schema: Arc<Schema>,
}

impl Plans {
    pub(super) fn get() -> &'static Plans {
        static PLANS: LazyLock<Plans> = LazyLock::new(|| {
            let schema = Schema::current();
            let plans = (0..Facts::get().numbers()).map(|n| plan(n, &schema)).collect();
            Plans { plans, schema }
        });
        &PLANS
    }

    #[inline]
    pub(super) fn of(&self, number: u16) -> Option<&Plan> {
        self.plans.get(usize::from(number))?.as_ref()
    }

    /// The type of a call that the format has no event of its own for: the machine's number of it counts, since the
    /// format's own was changed between versions.
    pub(super) fn generic(&self, native: Option<i64>, own: Option<i64>) -> Option<EventType> {
        let native = native.and_then(|n| u32::try_from(n).ok()).map(EventType::syscall);
        let known = native.filter(|k| *k != EventType::UNKNOWN_SYSCALL && self.schema.get(*k).is_some());
        known.or_else(|| {
            let name = Facts::get().call(u16::try_from(own?).ok()?)?;
            let mut specs = self.schema.by_name(name).filter(|s| !s.id.is_compat());
            specs.next().map(|s| s.id)
        })
    }

    /// How many parameters an event type has.
    pub(super) fn params(&self, kind: EventType) -> usize {
        self.schema.get(kind).map_or(0, |s| s.params.len())
    }
}

/// Names that the format gives to what has another one here.
const ALIASES: &[(&str, &str)] = &[
    ("sockfd", "fd"),
    ("filename", "path"),
    ("path", "name"),
    ("name", "path"),
    ("path", "pathname"),
    ("pathname", "path"),
    ("oldfd", "fd"),
    ("sig", "signal"),
    ("out_fd", "fd"),
    ("epfd", "fd"),
    ("size", "maxevents"),
    ("uid", "euid"),
    ("fd", "sockfd"),
    ("res", "status"),
];

fn plan(number: u16, schema: &Schema) -> Option<Plan> {
    let facts = Facts::get();
    let exit = facts.event(number)?;
    let is_exit = number % 2 == 1;
    let spec = ours(exit, is_exit, schema)?;
    // An entry has the number before its end.
    let enter = number.checked_sub(1).filter(|_| is_exit).and_then(|n| facts.event(n));
    let slot = |name: &str| find(name, exit, enter);
    let args: Vec<Option<(Slot, Form)>> = spec
        .params
        .iter()
        .map(|p| arg(p.name.as_str(), p.kind, exit, enter))
        .collect();
    let ret = is_exit.then(|| result(exit)).flatten();
    let fd = match spec.fd {
        FdUse::Arg(n) => {
            let param = spec.params.iter().find(|p| p.arg == Some(n) && p.kind == ParamKind::Fd);
            param
                .and_then(|p| find_any(&p.name, exit, enter))
                .or_else(|| slot("fd"))
        }
        _ => None,
    };
    let mut plan = Plan {
        kind: spec.id,
        ret_is_fd: spec.ret_is_fd(),
        ret,
        fd,
        data: slot("data"),
        action: Action::of(exit.name),
        args,
        needs_enter: false,
    };
    let taken = plan.args.iter().flatten().map(|(slot, _)| slot).chain(&plan.fd);
    plan.needs_enter = taken.clone().any(|s| s.enter.is_some()) || plan.action.needs_enter();
    Some(plan)
}

fn ours<'s>(event: &EventFacts, is_exit: bool, schema: &'s Schema) -> Option<&'s EventSpec> {
    // What is no call is told at once, by an event with an even number.
    let instant = matches!(
        event.name,
        "procexit" | "signaldeliver" | "switch" | "page_fault" | "container"
    );
    if instant == is_exit {
        return None;
    }
    let name = match event.name {
        "syscall" => return None,
        "umount" => "umount2",
        "sigreturn" => "rt_sigreturn",
        // Calls of 32-bit machines.
        "send" => "sendto",
        "recv" => "recvfrom",
        name => name,
    };
    let mut specs = schema.by_name(name).filter(|s| !s.id.is_compat());
    specs.next().or_else(|| schema.by_name(name).next())
}

/// The result is the first parameter where it is called so.
fn result(exit: &EventFacts) -> Option<Slot> {
    let first = exit.params.first()?;
    matches!(first.name, "res" | "fd" | "res_or_fd").then_some(Slot {
        exit: Some(0),
        enter: None,
        kind: first.kind,
    })
}

fn find(name: &str, exit: &EventFacts, enter: Option<&EventFacts>) -> Option<Slot> {
    // The first parameter of an event that makes a descriptor is the new one, whatever its name.
    let skip = usize::from(enter.is_some() && exit.params.first().is_some_and(|p| matches!(p.name, "fd" | "res")));
    let in_exit = exit
        .params
        .iter()
        .skip(skip)
        .position(|p| p.name == name)
        .map(|i| i + skip);
    let in_enter = enter.and_then(|e| e.param(name));
    let kind = match (in_exit, in_enter) {
        (Some(i), _) => exit.params.get(i)?.kind,
        (None, Some(i)) => enter?.params.get(i)?.kind,
        (None, None) => return None,
    };
    let narrow = |i: usize| u8::try_from(i).ok();
    Some(Slot {
        exit: in_exit.and_then(narrow),
        enter: in_enter.and_then(narrow),
        kind,
    })
}

fn find_any(name: &str, exit: &EventFacts, enter: Option<&EventFacts>) -> Option<Slot> {
    let aliases = ALIASES
        .iter()
        .filter(|(ours, _)| *ours == name)
        .map(|(_, theirs)| *theirs);
    std::iter::once(name)
        .chain(aliases)
        .find_map(|name| find(name, exit, enter))
}

fn arg(name: &str, kind: ParamKind, exit: &EventFacts, enter: Option<&EventFacts>) -> Option<(Slot, Form)> {
    // Where both ends are told they are told by all versions.
    let both = (kind == ParamKind::SockAddr)
        .then(|| find("tuple", exit, enter))
        .flatten();
    let slot = both.or_else(|| find_any(name, exit, enter))?;
    let of = |event: Option<&EventFacts>, at: Option<u8>| event.and_then(|e| e.params.get(usize::from(at?))?.set);
    let set = of(Some(exit), slot.exit).or_else(|| of(enter, slot.enter));
    let form = match kind {
        ParamKind::Path if slot.kind == Type::PathAt => Form::PathAt(directory(name, exit, enter)),
        ParamKind::Path if matches!(slot.kind, Type::Path | Type::Text) => Form::Path,
        ParamKind::SockAddr if matches!(slot.kind, Type::Tuple | Type::Address) => Form::Address {
            second: !matches!(exit.name, "accept" | "accept4" | "recvfrom" | "recvmsg" | "recvmmsg"),
        },
        ParamKind::Str if name == "args" && slot.kind == Type::Bytes => Form::List,
        ParamKind::Str if matches!(slot.kind, Type::Text | Type::Path | Type::PathAt | Type::Bytes) => Form::Text,
        ParamKind::Flags(ctrace_trace::schema::NameSet::Open) => mapping(set, kind).map_or(Form::Number, Form::Open),
        kind if kind.is_num() && matches!(slot.kind, Type::Signed | Type::Unsigned | Type::Dynamic) => {
            mapping(set, kind).map_or(Form::Number, Form::Mapped)
        }
        _ => return None,
    };
    Some((slot, form))
}

/// The descriptor that a path starts from: of two, each path has its own.
fn directory(path: &str, exit: &EventFacts, enter: Option<&EventFacts>) -> Option<Slot> {
    let names: &[&str] = match path {
        "oldpath" => &["olddirfd", "olddir"],
        "newpath" => &["newdirfd", "newdir"],
        "linkpath" => &["linkdirfd"],
        _ => &["dirfd", "fd"],
    };
    names.iter().find_map(|name| find(name, exit, enter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_of_the_format_is_one_of_ours() {
        let facts = Facts::get();
        let numbers = (1..facts.numbers()).step_by(2);
        let events = numbers.filter_map(|n| Some((n, facts.event(n)?)));
        let absent: Vec<&str> = events
            .filter(|(n, _)| Plans::get().of(*n).is_none())
            .map(|(_, event)| event.name)
            .collect();
        // The first is any call without an event of its own, the second says that events are left out. The third is the
        // end of a span that a program marked itself, and no call: it is kept as it came.
        assert_eq!(absent, ["syscall", "drop", "tracer"]);
    }

    /// What `open` told when it was entered, in the oldest captures, and all at its end since.
    #[test]
    fn parameters_are_found_by_name_in_both_halves() {
        let open = Plans::get().of(3).expect("open");
        assert_eq!(open.kind, EventType::syscall(2));
        let places: Vec<_> = open
            .args
            .iter()
            .map(|a| a.as_ref().map(|(s, _)| (s.exit, s.enter)))
            .collect();
        let both = |exit, enter| Some((Some(exit), enter));
        assert_eq!(
            places,
            [
                both(1, Some(0)),
                both(2, Some(1)),
                both(3, Some(2)),
                both(4, None),
                both(5, None)
            ]
        );
        let write = Plans::get().of(9).expect("write");
        assert_eq!(write.fd.map(|s| s.enter), Some(Some(0)));
    }

    #[test]
    fn few_parameters_are_not_told() {
        let facts = Facts::get();
        let schema = Schema::current();
        let mut untold = Vec::new();
        for number in (1..facts.numbers()).step_by(2) {
            let Some((plan, event)) = Plans::get().of(number).zip(facts.event(number)) else {
                continue;
            };
            let params = &schema.get(plan.kind).expect("planned").params;
            let absent = params.iter().zip(&plan.args).filter(|(_, arg)| arg.is_none());
            untold.extend(absent.map(|(param, _)| format!("{}.{}", event.name, param.name)));
        }
        untold.sort();
        untold.dedup();
        assert!(untold.len() < 45, "{untold:?}");
        assert!(
            !untold
                .iter()
                .any(|p| p == "open.name" || p == "connect.addr" || p == "unlinkat.name")
        );
    }
}
