//! What the kernel programs are told to record: the declared syscall table in the form of the wire.

use crate::record_args::RecordArgs;
use crate::recorder::Level;
use crate::resolver;
use crate::syscall::{INSTALL, call_of};
use crate::syscall_set::SyscallSet;
use ctrace_trace::event::EventType;
use ctrace_trace::schema::{EventSpec, FdUse, Schema};
use ctrace_trace::syscalls::{self, Category, Lane, Length};
use ctrace_wire::record::MAX_ARGS;
use ctrace_wire::spec::{CAPTURE_COUNT, Capture, IO_OPCODES, PRIORITY, RESULT, SELECTED, SPEC_COUNT, SyscallSpec};

/// The position of `argv` among the arguments of a call that starts a program. That of a failed one is in its record.
fn argv(name: &str) -> Option<u8> {
    match name {
        "execve" => Some(1),
        "execveat" => Some(2),
        _ => None,
    }
}

/// The position of the message with which descriptors may come.
fn rights(name: &str) -> Option<u8> {
    (name == "recvmsg").then_some(1)
}

/// What is recorded of such a call for the sake of others: its flags say what an exec closes.
fn for_rights(message: u8) -> SyscallSpec {
    SyscallSpec::PLAIN
        .with(&[Capture::rights(message)])
        .args(message + 2)
        .brought()
}

/// What the arguments ask the kernel programs to record.
pub(crate) fn recorded(args: &RecordArgs) -> Vec<SyscallSpec> {
    table(&Schema::current(), &args.syscalls, args.snaplen.bytes > 0)
}

/// A table without what is left out at a level. What has room of its own is never left out, nor what tells the directory
/// of a process. What was asked for is counted instead, by the level that leaves it out.
pub(crate) fn without(table: &[SyscallSpec], asked: &SyscallSet, level: Level) -> Vec<SyscallSpec> {
    let schema = Schema::current();
    let numbers = (0..SPEC_COUNT).map(EventType::syscall);
    let ids = numbers.chain((0..SPEC_COUNT).map(EventType::compat_syscall));
    let left = table.iter().zip(ids).map(|(spec, id)| {
        let of_mass = spec.flags & SELECTED != 0 && spec.flags & PRIORITY == 0;
        match shed_at(&schema, id).filter(|shed| of_mass && level >= *shed) {
            Some(_) if !asked.holds(id) => SyscallSpec::UNSELECTED,
            Some(shed) => SyscallSpec::left_out(shed.kind()),
            None => *spec,
        }
    });
    left.collect()
}

/// The level from which on a call is left out.
fn shed_at(schema: &Schema, id: EventType) -> Option<Level> {
    let declared = schema.get(id)?;
    let (lane, keeps) = (syscalls::lane(id), resolver::keeps_tables(declared, true));
    match syscalls::category(id) {
        _ if matches!(declared.name.as_str(), "chdir" | "fchdir") || lane == Lane::Priority => None,
        _ if lane == Lane::Bulk && !keeps && declared.name != "mprotect" => Some(Level::Bulk),
        Category::File | Category::IoWrite => Some(Level::Files),
        _ => (lane == Lane::Bulk).then_some(Level::Files),
    }
}

/// Whether calls that change descriptors are recorded for the sake of others, which name what is behind a descriptor.
/// Where few calls use one, the kernel side describes it in their records instead, and opening and closing cost nothing.
pub(crate) fn keeps_descriptors(schema: &Schema, asked: &SyscallSet) -> bool {
    let declared = schema.specs().iter().filter(|s| s.id.is_syscall() && asked.holds(s.id));
    let mut needs = declared.map(|s| resolver::only_descriptor(s, syscalls::lane(s.id) == Lane::Bulk).is_err());
    needs.any(|needs| needs)
}

/// The whole table: what was asked for, and what the resolver needs to tell processes and descriptors apart, each with
/// what its declaration needs read through pointers. With `data`, the buffers of what was asked for too.
pub(crate) fn table(schema: &Schema, asked: &SyscallSet, data: bool) -> Vec<SyscallSpec> {
    let descriptors = keeps_descriptors(schema, asked);
    let select = |id| {
        let declared = schema.get(id);
        if !asked.holds(id) && !declared.is_some_and(|s| resolver::keeps_tables(s, descriptors)) {
            let brings = declared.filter(|_| descriptors).and_then(|s| rights(&s.name));
            return brings.map_or(SyscallSpec::UNSELECTED, for_rights);
        }
        let spec = spec(schema, id, data && asked.holds(id));
        let spec = match declared.map(|s| resolver::only_descriptor(s, false)) {
            Some(Ok(Some(fd))) if !descriptors => spec.file(fd).socket(fd),
            _ => spec,
        };
        match declared.filter(|_| !id.is_compat()) {
            Some(declared) => spec.args(args(declared, &spec)),
            None => spec,
        }
    };
    let native = (0..SPEC_COUNT).map(EventType::syscall);
    native
        .chain((0..SPEC_COUNT).map(EventType::compat_syscall))
        .map(select)
        .collect()
}

/// The same of requests of io_uring: those whose syscall is recorded, and with all syscalls all of them.
pub(crate) fn requests(schema: &Schema, asked: &SyscallSet) -> [u8; IO_OPCODES] {
    let descriptors = keeps_descriptors(schema, asked);
    let keeps = |id| schema.get(id).is_some_and(|s| resolver::keeps_tables(s, descriptors));
    let mut opcodes = [0; IO_OPCODES];
    for (opcode, to) in (0u32..).zip(&mut opcodes) {
        *to = match call_of(opcode).map(EventType::syscall) {
            Some(id) if asked.holds(id) || keeps(id) => plain(id).flags,
            None if asked.is_all() || descriptors && opcode == INSTALL => SyscallSpec::PLAIN.flags,
            _ => 0,
        };
    }
    opcodes
}

/// Bare registers.
fn plain(id: EventType) -> SyscallSpec {
    if syscalls::lane(id) == Lane::Priority {
        SyscallSpec::PLAIN.priority()
    } else {
        SyscallSpec::PLAIN
    }
}

fn spec(schema: &Schema, id: EventType, data: bool) -> SyscallSpec {
    // A number that no table has is recorded with its bare registers.
    let Some(declared) = schema.get(id) else {
        return plain(id);
    };
    let reads = syscalls::captures(id).iter();
    let rights = rights(&declared.name).map(Capture::rights).into_iter();
    let mut captures: Vec<Capture> = rights.chain(reads.filter_map(|read| capture(read, data))).collect();
    captures.extend(argv(&declared.name).map(Capture::string_array));
    captures.truncate(CAPTURE_COUNT);
    let mut spec = plain(id).with(&captures);
    if resolver::changes_ids(declared) {
        spec = spec.credentials();
    }
    if resolver::changes_directory(declared) {
        spec = spec.directory();
    }
    if resolver::changes_root(declared) {
        spec = spec.root();
    }
    if let Some(from) = resolver::names_from(declared) {
        spec = spec.base(from);
    }
    let category = syscalls::category(id);
    match declared.fd {
        // Its result is a descriptor for some commands only, which the resolver tells apart.
        _ if declared.name == "bpf" => spec.file(RESULT),
        FdUse::Ret if category == Category::Net => spec.socket(RESULT),
        _ if let Some(fd) = resolver::confirmed(declared) => spec.file(fd).socket(fd),
        // Takes any descriptor of another process.
        FdUse::Ret if declared.name == "pidfd_getfd" => spec.file(RESULT).socket(RESULT),
        FdUse::Ret if opens_file(&declared.name) => spec.file(RESULT),
        // The state of a socket is worth its price where it can change or where its peer is new.
        FdUse::Arg(fd) if category == Category::Net && declared.hot => spec.socket(fd),
        _ => spec,
    }
}

/// How many registers are looked at: those of all parameters, and those by which is found what lies behind others.
fn args(declared: &EventSpec, spec: &SyscallSpec) -> u8 {
    let params = declared.params.iter().filter_map(|param| param.arg);
    let captures = spec.captures.iter().flat_map(|capture| [capture.arg, capture.len_arg]);
    let fd = match declared.fd {
        FdUse::Arg(at) => at,
        FdUse::None | FdUse::Ret => RESULT,
    };
    let all = params.chain(captures).chain([fd, spec.fd]);
    let registers = all.filter(|at| usize::from(*at) < MAX_ARGS);
    registers.max().map_or(0, |last| last + 1)
}

fn opens_file(name: &str) -> bool {
    name.starts_with("open") || matches!(name, "creat" | "memfd_create" | "fsmount" | "mq_open")
}

/// Of data only plain buffers are read, no vectors and messages.
fn capture(declared: &syscalls::Capture, data: bool) -> Option<Capture> {
    use syscalls::Capture as Declared;
    Some(match *declared {
        // The kernel reads the string whenever the pointer can be; the resolver knows when it is one.
        Declared::Text { arg, .. } | Declared::TextIf { arg, .. } | Declared::Path { arg, .. } => Capture::string(arg),
        Declared::Address {
            arg,
            len: Length::Arg(len),
            ..
        } => Capture::sockaddr(arg, len),
        Declared::Address {
            arg,
            len: Length::Pointer(len),
            ..
        } => Capture::sockaddr_result(arg, len),
        Declared::Address {
            arg, len: Length::Ret, ..
        } => Capture::sockaddr(arg, RESULT),
        Declared::MessageAddress { arg, .. } => Capture::msghdr_name(arg),
        Declared::MessageAddresses { arg, .. } => Capture::mmsghdr_names(arg),
        Declared::Pair { arg, .. } => Capture::i32_pair(arg),
        Declared::OpenHow { arg, .. } => Capture::structure(arg, 24),
        Declared::CloneArgs { arg, .. } => Capture::structure(arg, 8),
        Declared::RingParams { arg, .. } => Capture::structure(arg, 12),
        Declared::Data {
            arg,
            len: Length::Arg(len),
        } if data => Capture::buffer(arg, len),
        Declared::Data { arg, len: Length::Ret } if data => Capture::buffer(arg, RESULT),
        Declared::Data { .. } | Declared::DataVector { .. } | Declared::DataMessage { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use ctrace_wire::spec::{
        BASE, BROUGHT, CAPTURE_BUFFER, COMPAT_SPECS, DIRECTORY, FILE, NO_FD, ROOT, SOCKET, TABLE_SIZE,
    };

    use super::*;

    fn number(name: &str, compat: bool) -> usize {
        let schema = Schema::current();
        let found = schema.by_name(name).find(|s| s.id.is_compat() == compat).expect(name);
        usize::from(found.id.0 & 0xFFF) + if compat { COMPAT_SPECS as usize } else { 0 }
    }

    fn made(set: &str, data: bool) -> Vec<SyscallSpec> {
        table(&Schema::current(), &set.parse().expect("a set"), data)
    }

    #[test]
    fn all_selects_every_number_of_both_tables() {
        let all = made("all", false);
        assert_eq!(all.len(), TABLE_SIZE as usize);
        assert!(all.iter().all(|spec| spec.flags & SELECTED != 0));
    }

    #[test]
    fn what_was_not_asked_for_is_not_selected_unless_the_tables_need_it() {
        let files = made("openat", false);
        for (name, selected) in [
            ("openat", true),
            ("close", true),
            ("dup2", true),
            ("chdir", true),
            ("read", false),
        ] {
            for compat in [false, true] {
                assert_eq!(files[number(name, compat)].flags & SELECTED != 0, selected, "{name}");
            }
        }
        assert!(files[number("futex", false)].flags & SELECTED == 0);
    }

    #[test]
    fn where_few_calls_use_descriptors_the_kernel_describes_them() {
        for set in ["setns", "setns,fchmod,unlinkat", "execve,connect"] {
            let table = made(set, false);
            let is = |name: &str| table[number(name, false)];
            let kept = set.contains("connect");
            assert_eq!(is("openat").flags & SELECTED != 0, kept, "{set}");
            assert_eq!(is("close").flags & SELECTED != 0, kept, "{set}");
            assert!(is("chdir").flags & SELECTED != 0, "{set}");
            let described = FILE | SOCKET;
            assert_eq!(
                is("fchdir").flags & described,
                if kept { 0 } else { described },
                "{set}"
            );
            if !kept {
                assert_eq!((is("setns").flags & described, is("setns").fd), (described, 0));
            }
        }
        let keeps = |set: &str| keeps_descriptors(&Schema::current(), &set.parse().expect("a set"));
        for set in [
            "all",
            "security",
            "files",
            "net",
            "read",
            "close",
            "renameat",
            "openat",
            "setns,write",
        ] {
            assert!(keeps(set), "{set}");
        }
        for set in ["mount", "kill,ptrace", "open", "memfd_create,pipe2", "process"] {
            assert!(!keeps(set), "{set}");
        }
    }

    #[test]
    fn where_names_lead_on_from_is_told_of_what_changes_their_meaning() {
        let all = made("all", false);
        for compat in [false, true] {
            let is = |name: &str| all[number(name, compat)];
            for (name, fd) in [
                ("unlink", NO_FD),
                ("mkdir", NO_FD),
                ("symlink", NO_FD),
                ("mount", NO_FD),
                ("unlinkat", 0),
                ("renameat2", 0),
                ("fchmodat", 0),
                ("symlinkat", 1),
            ] {
                assert_eq!((is(name).flags & BASE, is(name).fd), (BASE, fd), "{name}");
            }
            for name in [
                "access",
                "newfstatat",
                "fstatat64",
                "openat",
                "execve",
                "chdir",
                "chroot",
                "pivot_root",
            ] {
                let known = Schema::current().by_name(name).any(|s| s.id.is_compat() == compat);
                assert!(!known || is(name).flags & BASE == 0, "{name}");
            }
            assert_eq!((is("chroot").flags & DIRECTORY, is("chroot").fd), (DIRECTORY, ROOT));
        }
        let is_clear = |spec: &SyscallSpec| spec.flags & BASE == 0 || spec.flags & (FILE | DIRECTORY) == 0;
        assert!(all.iter().all(is_clear), "one path at most");
    }

    #[test]
    fn descriptors_that_come_with_messages_are_seen_where_descriptors_are_kept() {
        for (set, asked, kept) in [("all", true, true), ("write", false, true), ("mount", false, false)] {
            for compat in [false, true] {
                let spec = made(set, false)[number("recvmsg", compat)];
                assert_eq!(spec.flags & SELECTED != 0, kept, "{set}");
                assert_eq!(spec.fd == BROUGHT, kept && !asked, "{set}");
                assert_eq!(spec.captures[0] == Capture::rights(1), kept, "{set}");
            }
        }
    }

    #[test]
    fn arguments_of_execs_are_read_in_both_tables() {
        let table = made("execve,execveat", false);
        for (name, argv) in [("execve", 1), ("execveat", 2)] {
            for compat in [false, true] {
                let captures = table[number(name, compat)].captures;
                assert_eq!(captures[0], Capture::string(argv - 1), "{name}");
                assert_eq!(captures[CAPTURE_COUNT - 1], Capture::string_array(argv), "{name}");
            }
        }
    }

    #[test]
    fn requests_are_selected_as_the_syscalls_that_do_the_same() {
        let made = |set: &str| requests(&Schema::current(), &set.parse().expect("a set"));
        let (nop, connect, open, read) = (0, 16, 18, 22);
        let (all, security, only) = (made("all"), made("security"), made("unlinkat,close"));
        assert!(all.iter().all(|flags| flags & SELECTED != 0));
        assert_eq!([nop, read].map(|op| security[op]), [0, 0]);
        assert_eq!(security[connect], SyscallSpec::PLAIN.priority().flags);
        // The descriptor is needed to know what later calls are about.
        assert_eq!(
            [open, 36, 37].map(|op: usize| only[op] & SELECTED),
            [SELECTED, SELECTED, 0]
        );
    }

    #[test]
    fn what_is_left_out_is_the_least_important_first() {
        let (all, asked) = (made("all", false), SyscallSet::all());
        let spec_of = |level, name: &str, compat| without(&all, &asked, level)[number(name, compat)];
        let selected = |level, name: &str, compat| spec_of(level, name, compat).flags & SELECTED != 0;
        for name in [
            "execve",
            "clone",
            "exit_group",
            "capset",
            "connect",
            "ptrace",
            "bpf",
            "chdir",
            "socket",
            "mount",
        ] {
            for compat in [false, true] {
                assert!(selected(Level::Files, name, compat), "{name}");
            }
        }
        for name in ["read", "write", "futex", "getppid", "fstat", "munmap", "poll"] {
            for compat in [false, true] {
                assert!(!selected(Level::Bulk, name, compat), "{name}");
            }
        }
        for name in ["openat", "close", "dup2", "unlinkat", "pipe2", "fcntl", "mprotect"] {
            assert!(selected(Level::Bulk, name, false), "{name}");
            assert!(!selected(Level::Files, name, false), "{name}");
        }
        assert_eq!(without(&all, &asked, Level::Nothing), all);
        let priority = |table: &[SyscallSpec]| table.iter().filter(|s| s.flags & PRIORITY != 0).count();
        assert_eq!(priority(&without(&all, &asked, Level::Files)), priority(&all));
        let counted = |name| spec_of(Level::Files, name, false).left_out;
        assert_eq!(["connect", "read", "openat"].map(counted), [0, 1, 2]);
    }

    #[test]
    fn what_only_the_tables_need_is_left_out_uncounted() {
        let (table, asked) = (made("openat", false), "openat".parse().expect("a set"));
        let left = without(&table, &asked, Level::Files);
        let of = |name| left[number(name, false)];
        assert_eq!((of("openat").left_out, of("openat").flags), (2, 0));
        assert_eq!([of("close"), of("read")], [SyscallSpec::UNSELECTED; 2]);
    }

    #[test]
    fn buffers_are_read_when_data_is_kept_and_of_what_was_asked_for_only() {
        let reads_buffer = |spec: &SyscallSpec| spec.captures.iter().any(|c| c.kind == CAPTURE_BUFFER);
        let (read, write) = (number("read", false), number("write", false));
        assert!(!made("all", false).iter().any(reads_buffer));
        let all = made("all", true);
        assert_eq!(all[read].captures[0], Capture::buffer(1, RESULT));
        assert_eq!(all[write].captures[0], Capture::buffer(1, 2));
        assert!(!made("files", true).iter().any(reads_buffer));
    }
}
