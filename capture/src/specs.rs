//! What the kernel programs are told to record: the declared syscall table in the form of the wire.

use ctrace_trace::event::EventType;
use ctrace_trace::schema::{FdUse, Schema};
use ctrace_trace::syscalls::{self, Category, Lane, Length};
use ctrace_wire::spec::{CAPTURE_COUNT, Capture, RESULT, SPEC_COUNT, SyscallSpec};

/// `execve` and `execveat` with the position of `argv`, which a failed call still shows.
const EXEC: [(u32, u8); 2] = [(59, 1), (322, 2)];

const CAPSET: u32 = 126;
const BPF: u32 = 321;

/// Every syscall, each with what its declaration needs read through pointers.
pub(crate) fn all(schema: &Schema) -> Vec<SyscallSpec> {
    (0..SPEC_COUNT).map(|nr| spec(schema, nr)).collect()
}

fn spec(schema: &Schema, nr: u32) -> SyscallSpec {
    let id = EventType::syscall(nr);
    // A number that no table has is recorded with its bare registers.
    let Some(declared) = schema.get(id) else {
        return SyscallSpec::PLAIN;
    };
    let mut captures: Vec<Capture> = syscalls::captures(id).iter().filter_map(capture).collect();
    captures.extend(
        EXEC.iter()
            .filter(|(exec, _)| *exec == nr)
            .map(|(_, argv)| Capture::string_array(*argv)),
    );
    if nr == CAPSET {
        // Its data: two sets of three 32-bit words, of which the resolver makes the process's capabilities.
        captures.push(Capture::structure(1, 24));
    }
    captures.truncate(CAPTURE_COUNT);
    let mut spec = SyscallSpec::PLAIN.with(&captures);
    if syscalls::lane(id) == Lane::Priority {
        spec = spec.priority();
    }
    let category = syscalls::category(id);
    match declared.fd {
        // Its result is a descriptor for some commands only, which the resolver tells apart.
        _ if nr == BPF => spec.file(RESULT),
        FdUse::Ret if category == Category::Net => spec.socket(RESULT),
        FdUse::Ret if opens_file(&declared.name) => spec.file(RESULT),
        // The state of a socket is worth its price where it can change or where its peer is new.
        FdUse::Arg(fd) if category == Category::Net && declared.hot => spec.socket(fd),
        _ => spec,
    }
}

fn opens_file(name: &str) -> bool {
    name.starts_with("open") || matches!(name, "creat" | "memfd_create" | "pidfd_getfd" | "fsmount")
}

/// Vectors and messages of data are for `--snaplen`, which is off: they are not read.
fn capture(declared: &syscalls::Capture) -> Option<Capture> {
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
        Declared::Pair { arg, .. } => Capture::i32_pair(arg),
        Declared::OpenHow { arg, .. } => Capture::structure(arg, 24),
        Declared::CloneArgs { arg, .. } => Capture::structure(arg, 8),
        Declared::RingParams { arg, .. } => Capture::structure(arg, 12),
        Declared::Data { .. } | Declared::DataVector { .. } | Declared::DataMessage { .. } => return None,
    })
}
