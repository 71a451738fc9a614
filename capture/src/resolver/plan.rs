//! What to do with each event type: where its parameters come from and which state it changes. Made once from the
//! schema, so that a record costs a look-up by number.

use ctrace_trace::event::EventType;
use ctrace_trace::schema::{EventSpec, FdUse, ParamKind, Schema};
use ctrace_trace::syscalls::{self, Capture, Lane, Width};
use ctrace_wire::spec::NO_FD;

use super::action::{Action, Flags};

/// Most parameters that one event type may have; a test over the schema holds it to that.
pub(super) const MAX_PARAMS: usize = 12;
/// Registers that hold arguments of a call.
pub(super) const MAX_REGISTERS: usize = 6;
/// Most paths that one event type may have.
pub(super) const MAX_PATHS: usize = 2;

/// Where the value of a parameter comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// The low half of a register, with its sign.
    Signed(u8),
    /// The low half of a register.
    Unsigned(u8),
    /// A whole register.
    Whole(u8),
    /// Mode bits, which the kernel reads only when the flags in that other register make a file.
    OpenMode(u8, u8),
    /// A user or group, in the lower 16 bits of a register.
    ShortId(u8),
    /// The string behind a register.
    Text(u8),
    /// The string behind a register, which is one only when another register has this value.
    TextIf(u8, u8, u64),
    /// The path of this index in [`Plan::paths`].
    Path(u8),
    /// The kernel's path of the file.
    KernelPath,
    /// The captured socket address.
    Address,
    /// The captured addresses of further messages.
    Others,
    /// Device and inode of the file behind the descriptor.
    Device,
    /// See `Device`.
    Inode,
    /// One of two descriptors that the kernel wrote.
    Pair(u8),
    /// Bytes of a captured structure: offset and length (4 or 8).
    Field(u8, u8),
    /// The first of the arguments that a failed exec was given.
    Program,
    /// The others.
    Arguments,
    /// The syscall's number.
    Number,
    /// Not recorded.
    Absent,
}

/// A path among the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PathArg {
    /// The register that points to it.
    pub(super) arg: u8,
    /// The register with the directory it starts from; the working directory where there is none.
    pub(super) dirfd: Option<u8>,
    pub(super) way: Way,
    pub(super) last: Last,
}

/// What a call does where the last name of a path is that of a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// It is about the link.
    Stays,
    /// It is about what that leads to.
    IsFollowed,
    /// It follows the link unless this register has this bit.
    IsFollowedUnless(u8, u32),
    /// It is about the link unless this register has this bit.
    StaysUnless(u8, u32),
}

impl Last {
    /// As the manual pages of the calls say it; of those that only look at files the name stays.
    fn of(event: &str, path: usize) -> Last {
        use Last::*;
        const NOFOLLOW: u32 = libc::AT_SYMLINK_NOFOLLOW as u32;
        match event {
            "chmod" | "fchmodat" | "chown" | "chown32" | "truncate" | "truncate64" | "setxattr" | "removexattr"
            | "utime" | "utimes" | "futimesat" | "mount" | "umount" | "swapon" | "swapoff" | "acct" | "uselib"
            | "chroot" => IsFollowed,
            "fchmodat2" | "utimensat" => IsFollowedUnless(3, NOFOLLOW),
            "fchownat" | "file_setattr" => IsFollowedUnless(4, NOFOLLOW),
            "setxattrat" | "removexattrat" | "mount_setattr" => IsFollowedUnless(2, NOFOLLOW),
            "umount2" => IsFollowedUnless(1, libc::UMOUNT_NOFOLLOW as u32),
            "linkat" if path == 0 => StaysUnless(4, libc::AT_SYMLINK_FOLLOW as u32),
            _ => Stays,
        }
    }

    /// Whether a call with these registers follows the link.
    pub(super) fn is_followed(self, register: impl Fn(u8) -> u32) -> bool {
        match self {
            Last::Stays => false,
            Last::IsFollowed => true,
            Last::IsFollowedUnless(at, bit) => register(at) & bit == 0,
            Last::StaysUnless(at, bit) => register(at) & bit != 0,
        }
    }
}

/// Where the directory of a path is looked for behind symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Nowhere: the kernel says which file it was.
    AsTold,
    /// Where `..` takes back a name, which may be that of a link. The mass of calls only looks at files.
    Back,
    /// Everywhere.
    Whole,
}

impl Way {
    fn of(spec: &EventSpec, action: Action) -> Way {
        match action {
            Action::Open(_) | Action::Exec => Way::AsTold,
            // The directory that was entered is asked for by itself.
            Action::Chdir => Way::Back,
            // Changes times.
            _ if spec.name == "utimensat" => Way::Whole,
            _ if syscalls::lane(spec.id) == Lane::Bulk => Way::Back,
            _ => Way::Whole,
        }
    }
}

/// What to do with one event type.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) kind: EventType,
    pub(super) fd: FdUse,
    pub(super) action: Action,
    pub(super) values: Vec<Value>,
    pub(super) paths: Vec<PathArg>,
    /// The register with the directory from which the first of them leads on, [`NO_FD`] for the working directory, where the
    /// kernel says which that is.
    pub(super) base: Option<u8>,
    /// Needs neither a path nor an address, and changes no state but numbers of descriptors.
    pub(super) simple: bool,
    /// The same, and all parameters stand in registers: there they are.
    pub(super) registers: Option<Registers>,
    /// Opens a file, and has the parameters of `open` or `openat`: there they are.
    pub(super) opens: Option<Opens>,
}

/// Where a call has what it says of a file that it opens. Its parameters are these, and the device and inode of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opens {
    /// The directory from which the name leads on, where the call has that.
    pub(super) dirfd: Option<u8>,
    pub(super) flags: u8,
    pub(super) mode: u8,
}

impl Opens {
    /// `None` where the parameters are others.
    fn of(action: Action, values: &[Value], paths: &[PathArg]) -> Option<Opens> {
        let (dirfd, others) = match values {
            [Value::Signed(dirfd), others @ ..] => (Some(*dirfd), others),
            others => (None, others),
        };
        let (
            Action::Open(Flags::Arg(flags)),
            [path],
            &[
                Value::Path(0),
                Value::Unsigned(shown),
                Value::OpenMode(mode, making),
                Value::Device,
                Value::Inode,
            ],
        ) = (action, paths, others)
        else {
            return None;
        };
        let are_same = shown == flags && making == flags && path.dirfd == dirfd;
        are_same.then_some(Opens { dirfd, flags, mode })
    }
}

/// The parameters of a call that all stand in registers alone, in their order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registers {
    len: u8,
    of: [(u8, Width); MAX_REGISTERS],
}

impl Registers {
    /// `None` where a value is something else.
    fn of(values: &[Value]) -> Option<Registers> {
        let mut of = [(0, Width::Word); MAX_REGISTERS];
        for (n, value) in values.iter().enumerate() {
            *of.get_mut(n)? = match *value {
                Value::Signed(at) => (at, Width::Signed32),
                Value::Unsigned(at) => (at, Width::Unsigned32),
                Value::Whole(at) => (at, Width::Word),
                _ => return None,
            };
        }
        let len = values.len() as u8;
        Some(Registers { len, of })
    }

    /// How many there are.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        usize::from(self.len).min(MAX_REGISTERS)
    }

    /// Each parameter's register, and what of it counts.
    #[inline(always)]
    pub(super) fn each(&self) -> impl Iterator<Item = (u8, Width)> {
        self.of.iter().copied().take(self.len())
    }
}

/// Plans of all syscalls, by number.
#[derive(Debug)]
pub(super) struct Plans {
    native: Table,
    compat: Table,
}

/// Plans of one table of the kernel.
#[derive(Debug)]
struct Table {
    /// As far as the table goes; in its holes that of unknown calls.
    by_number: Vec<Plan>,
    unknown: Plan,
}

impl Plans {
    pub(super) fn new(schema: &Schema) -> Plans {
        Plans {
            native: Table::new(schema, false),
            compat: Table::new(schema, true),
        }
    }

    /// The plan of a syscall number; that of unknown calls where the table does not have it.
    #[inline(always)]
    pub(super) fn get(&self, nr: i32, compat: bool) -> &Plan {
        let table = if compat { &self.compat } else { &self.native };
        table.by_number.get(nr as u32 as usize).unwrap_or(&table.unknown)
    }

    /// All plans, for tests.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = &Plan> {
        let all = self.native.by_number.iter().chain(&self.compat.by_number);
        all.filter(|plan| !plan.kind.is_unknown_syscall())
    }
}

impl Table {
    fn new(schema: &Schema, compat: bool) -> Table {
        let kind = match compat {
            true => EventType::UNKNOWN_COMPAT_SYSCALL,
            false => EventType::UNKNOWN_SYSCALL,
        };
        let mut by_number = Vec::new();
        let of_table = |spec: &&EventSpec| spec.id.is_syscall() && spec.id.is_compat() == compat && spec.id != kind;
        for spec in schema.specs().iter().filter(of_table) {
            let nr = usize::from(spec.id.0 & 0xFFF);
            by_number.resize_with(by_number.len().max(nr + 1), || unknown(schema, kind));
            if let Some(plan) = by_number.get_mut(nr) {
                *plan = Plan::new(spec);
            }
        }
        Table {
            by_number,
            unknown: unknown(schema, kind),
        }
    }
}

/// The plan of unknown calls. A schema without a declaration of them gets one that carries nothing.
fn unknown(schema: &Schema, kind: EventType) -> Plan {
    schema.get(kind).map_or(
        Plan {
            kind,
            fd: FdUse::None,
            action: Action::None,
            values: Vec::new(),
            paths: Vec::new(),
            base: None,
            simple: true,
            registers: None,
            opens: None,
        },
        Plan::new,
    )
}

impl Plan {
    pub(super) fn new(spec: &EventSpec) -> Plan {
        let (widths, reads) = (syscalls::widths(spec.id), syscalls::captures(spec.id));
        let action = Action::of(spec);
        let way = Way::of(spec, action);
        let mut paths = Vec::new();
        let mut values = Vec::new();
        for (slot, param) in spec.params.iter().enumerate() {
            let read = reads.iter().find_map(|read| pointed(read, slot));
            values.push(match (read, param.arg) {
                (Some(Pointed::Path { arg, dirfd }), _) if paths.len() < MAX_PATHS => {
                    let last = Last::of(&spec.name, paths.len());
                    paths.push(PathArg { arg, dirfd, way, last });
                    Value::Path(paths.len() as u8 - 1)
                }
                (Some(Pointed::Text(value)), _) => value,
                (_, Some(arg)) => in_register(spec, param.kind, arg, widths.get(slot).copied()),
                (_, None) => elsewhere(&spec.name, &param.name, param.kind),
            });
        }
        let unlike = |v: &Value| !matches!(v, Value::Path(_) | Value::Address | Value::KernelPath);
        let names = paths
            .first()
            .filter(|path| path.way == Way::Whole && !action.moves_caller() && spec.fd != FdUse::Ret);
        let base = names.map(|path| path.dirfd.unwrap_or(NO_FD));
        let simple = matches!(action, Action::None | Action::Close | Action::Fcntl)
            && spec.fd != FdUse::Ret
            && values.iter().all(unlike);
        Plan {
            kind: spec.id,
            fd: spec.fd,
            simple,
            registers: simple.then(|| Registers::of(&values)).flatten(),
            opens: Opens::of(action, &values, &paths),
            action,
            values,
            paths,
            base,
        }
    }
}

/// A parameter behind a pointer.
enum Pointed {
    Path { arg: u8, dirfd: Option<u8> },
    Text(Value),
}

/// What a read through a pointer gives to the parameter at `slot`. Other reads are found by their section's kind.
fn pointed(read: &Capture, slot: usize) -> Option<Pointed> {
    let is = |s: u8| usize::from(s) == slot;
    Some(match *read {
        Capture::Path { slot, arg, dirfd } if is(slot) => Pointed::Path { arg, dirfd },
        Capture::Text { slot, arg } if is(slot) => Pointed::Text(Value::Text(arg)),
        Capture::TextIf {
            slot,
            arg,
            when,
            is: value,
        } if is(slot) => Pointed::Text(Value::TextIf(arg, when, value)),
        _ => return None,
    })
}

/// The value of a parameter that stands in a register, or behind one where nothing is read.
fn in_register(spec: &EventSpec, kind: ParamKind, arg: u8, width: Option<Width>) -> Value {
    match (kind, spec.name.as_str()) {
        (ParamKind::SockAddr, _) => Value::Address,
        (ParamKind::Path | ParamKind::Str, _) => Value::Absent,
        (ParamKind::Mode, "open") => Value::OpenMode(arg, 1),
        (ParamKind::Mode, "openat") => Value::OpenMode(arg, 2),
        (ParamKind::Uid | ParamKind::Gid, _) if syscalls::has_short_ids(spec.id) => Value::ShortId(arg),
        _ => match width.unwrap_or(Width::Word) {
            Width::Signed32 => Value::Signed(arg),
            Width::Unsigned32 => Value::Unsigned(arg),
            Width::Word => Value::Whole(arg),
        },
    }
}

/// Parameters that stand in no register. Offsets: `struct open_how` (linux/openat2.h), `struct clone_args`
/// (linux/sched.h), `struct io_uring_params` (linux/io_uring.h).
fn elsewhere(event: &str, param: &str, kind: ParamKind) -> Value {
    match (event, param) {
        ("openat2", "flags") | ("clone3", "flags") => Value::Field(0, 8),
        ("openat2", "mode") => Value::Field(8, 8),
        ("openat2", "resolve") => Value::Field(16, 8),
        ("io_uring_setup", "flags") => Value::Field(8, 4),
        ("pipe" | "pipe2" | "socketpair", "fd1") => Value::Pair(0),
        ("pipe" | "pipe2" | "socketpair", "fd2") => Value::Pair(1),
        ("execve" | "execveat", "exe") => Value::Program,
        ("execve" | "execveat", "args") => Value::Arguments,
        ("unknown", "nr") => Value::Number,
        ("sendmmsg" | "recvmmsg", "others") => Value::Others,
        (_, "dev") => Value::Device,
        (_, "ino") => Value::Inode,
        _ if kind == ParamKind::SockAddr => Value::Address,
        _ if kind == ParamKind::Path => Value::KernelPath,
        _ => Value::Absent,
    }
}

#[cfg(test)]
mod tests {
    use ctrace_trace::event::Arg;
    use ctrace_wire::record::{Header, Syscall};

    use super::*;
    use crate::resolver::call::{Call, Scratch};
    use crate::syscall::SyscallView;

    #[test]
    fn every_declared_syscall_fits_its_plan() {
        let schema = Schema::current();
        let plans = Plans::new(&schema);
        for spec in schema.specs().iter().filter(|s| s.id.is_syscall()) {
            let paths = spec.params.iter().filter(|p| p.kind == ParamKind::Path).count();
            assert!(spec.params.len() <= MAX_PARAMS && paths <= MAX_PATHS, "{}", spec.name);
        }
        for plan in plans.all() {
            assert_eq!(plan.values.len(), schema.get(plan.kind).unwrap().params.len());
        }
    }

    #[test]
    fn paths_start_at_the_descriptor_before_them() {
        let schema = Schema::current();
        let plans = Plans::new(&schema);
        for (name, want) in [
            ("open", &[None][..]),
            ("openat", &[Some(0)]),
            ("renameat2", &[Some(0), Some(2)]),
            ("symlinkat", &[Some(1)]),
            ("inotify_add_watch", &[None]),
            ("fanotify_mark", &[Some(3)]),
            ("execveat", &[Some(0)]),
        ] {
            let spec = schema.by_name(name).find(|s| !s.id.is_compat()).expect(name);
            let plan = plans.get(i32::from(spec.id.0), false);
            let dirs: Vec<_> = plan.paths.iter().map(|p| p.dirfd).collect();
            assert_eq!(dirs, want, "{name}");
        }
    }

    #[test]
    fn ordinary_calls_are_simple() {
        let schema = Schema::current();
        let plans = Plans::new(&schema);
        for name in [
            "read", "write", "fstat", "mmap", "lseek", "futex", "poll", "close", "fcntl",
        ] {
            let spec = schema.by_name(name).find(|s| !s.id.is_compat()).expect(name);
            let plan = plans.get(i32::from(spec.id.0), false);
            assert!(plan.simple && plan.registers.is_some(), "{name}");
        }
        assert_eq!(plans.get(4000, false).kind, EventType::UNKNOWN_SYSCALL);
        assert_eq!(plans.get(-1, false).kind, EventType::UNKNOWN_SYSCALL);
        for nr in [4000, 999, -1] {
            assert_eq!(plans.get(nr, true).kind, EventType::UNKNOWN_COMPAT_SYSCALL);
        }
    }

    #[test]
    fn files_are_opened_with_the_parameters_of_open_and_openat() {
        let schema = Schema::current();
        for plan in Plans::new(&schema).all() {
            let want = match schema.get(plan.kind).unwrap().name.as_str() {
                "open" => Some((None, 1, 2)),
                "openat" => Some((Some(0), 2, 3)),
                _ => None,
            };
            let opens = plan.opens.map(|opens| (opens.dirfd, opens.flags, opens.mode));
            assert_eq!(opens, want, "{:?}", plan.kind);
        }
    }

    #[test]
    fn records_have_the_registers_that_are_asked_for() {
        let schema = Schema::current();
        let specs = crate::specs::table(&schema, &crate::syscall_set::SyscallSet::all(), true);
        let mut shorter = 0;
        for plan in Plans::new(&schema).all().filter(|plan| !plan.kind.is_compat()) {
            let kept = specs[usize::from(plan.kind.0 & 0xFFF)].args;
            let values = plan.values.iter().map(|value| match *value {
                Value::Signed(at) | Value::Unsigned(at) | Value::Whole(at) | Value::Text(at) => at + 1,
                Value::OpenMode(at, other) | Value::TextIf(at, other, _) => at.max(other) + 1,
                _ => 0,
            });
            let paths = plan.paths.iter().map(|path| path.arg.max(path.dirfd.unwrap_or(0)) + 1);
            let fd = match plan.fd {
                FdUse::Arg(at) => at + 1,
                FdUse::None | FdUse::Ret => 0,
            };
            let asked = values.chain(paths).chain([fd, asked_by(plan.action)]).max().unwrap();
            assert!(asked <= kept, "{:?}: {asked} of {kept}", plan.kind);
            shorter += usize::from(usize::from(kept) < MAX_REGISTERS);
        }
        assert!(shorter > 300, "most calls have fewer arguments");
        assert!(specs.iter().skip(512).all(|spec| spec.args == 6), "of 32-bit calls all");
        assert_eq!(specs[511].args, 6, "of a number that no call has all");
    }

    /// How many registers an action looks at.
    fn asked_by(action: Action) -> u8 {
        use Action::*;
        let by_flags = |flags| match flags {
            Flags::Arg(at) | Flags::LowBit(at) | Flags::Bit3(at) | Flags::Path(at) => at + 1,
            Flags::Const(_) | Flags::Field => 0,
        };
        match action {
            Open(flags) | Anonymous(_, _, flags) | Opaque(flags) | Pipe(flags) => by_flags(flags),
            Dup(flags) | Accept(flags) => by_flags(flags).max(1),
            CloseRange | Fcntl | Socket | SocketPair => 3,
            Memfd | SetNamespace | SetGroup => 2,
            Bpf | Close | Bind | Connect | Listen | Send | Receive | LocalName | PeerName => 1,
            Fchdir | Unshare | Prctl => 1,
            Rename | Link => 0, // Flags of some of these calls only.
            None | Chdir | Chroot | PivotRoot | SetIds | SetSession | Exec | Symlink | Unlink | Mount => 0,
        }
    }

    #[test]
    fn registers_say_what_the_values_say() {
        let fixed = Syscall {
            header: Header::default(),
            nr: 0,
            reserved: 0,
            ret: 0,
            args: [u64::MAX - 1, 0x1_8000_0002, 3, u64::MAX << 31, 5, 1 << 40],
        };
        let (view, scratch) = (SyscallView::new(&fixed, &[]), Scratch::default());
        let call = Call::new(&view);
        for plan in Plans::new(&Schema::current()).all() {
            let Some(registers) = &plan.registers else { continue };
            let short = registers.each().map(|(at, width)| Arg::Num(width.read(call.arg(at))));
            let long = plan.values.iter().map(|value| {
                let mut arg = Arg::None;
                value.put(&call, &plan.paths, &scratch, None, &mut arg);
                arg
            });
            assert_eq!(short.collect::<Vec<_>>(), long.collect::<Vec<_>>(), "{:?}", plan.kind);
        }
    }
}
