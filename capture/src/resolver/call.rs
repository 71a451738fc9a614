//! One syscall record as the rest of the resolver looks at it, and its arguments as the schema declares them.

use ctrace_trace::event::Arg;
use ctrace_trace::fd::FdEntry;
use ctrace_wire::record::{FLAG_EMPTY_NAME, FLAG_UNTRUE, MAX_ARGS};
use ctrace_wire::section;
use ctrace_wire::spec::MESSAGES_MAX;

use super::action::Flags;
use super::plan::{MAX_PATHS, Value};
use crate::syscall::{Section, Sections, SyscallView};

/// `-ENOSYS`, which the kernel answers to numbers that it does not have.
pub(super) const ENOSYS: i64 = -38;
const EINPROGRESS: i64 = -115;

/// A syscall record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) pid: u32,
    pub(super) tid: u32,
    pub(super) ts: u64,
    pub(super) ret: i64,
    pub(super) nr: i32,
    view: &'a SyscallView<'a>,
}

impl<'a> Call<'a> {
    #[inline]
    pub(super) fn new(view: &'a SyscallView<'a>) -> Call<'a> {
        let fixed = view.fixed;
        Call {
            pid: fixed.header.tgid,
            tid: fixed.header.tid,
            ts: fixed.header.ts,
            ret: fixed.ret,
            nr: fixed.nr,
            view,
        }
    }

    /// Whether the kernel has something else behind the descriptor in question than the result says.
    #[inline]
    pub(super) fn is_untrue(&self) -> bool {
        self.view.fixed.header.flags & FLAG_UNTRUE != 0
    }

    /// Whether the call did what it was asked.
    pub(super) fn succeeded(&self) -> bool {
        self.ret >= 0
    }

    /// Whether a connection exists or is under way.
    pub(super) fn connected(&self) -> bool {
        self.ret >= 0 || self.ret == EINPROGRESS
    }

    /// A whole register; 0 where nothing of the call looks at it.
    #[inline]
    pub(super) fn arg(&self, at: u8) -> u64 {
        self.view.fixed.arg(at)
    }

    /// All registers.
    pub(super) fn args(&self) -> [u64; MAX_ARGS] {
        self.view.fixed.all_args()
    }

    /// The low half of a register.
    #[inline]
    pub(super) fn arg32(&self, at: u8) -> u32 {
        self.arg(at) as u32
    }

    /// A register that holds a descriptor.
    #[inline]
    pub(super) fn fd(&self, at: u8) -> i32 {
        self.arg(at) as i32
    }

    /// The result as a descriptor, where the call gave one.
    #[inline]
    pub(super) fn new_fd(&self) -> Option<i32> {
        i32::try_from(self.ret).ok().filter(|fd| *fd >= 0)
    }

    /// All sections in the order they were captured.
    pub(super) fn sections(&self) -> Sections<'a> {
        self.view.sections()
    }

    /// The first section of a kind.
    pub(super) fn section(&self, kind: u8) -> Option<Section<'a>> {
        self.view.section(kind)
    }

    /// The string behind a register; `None` where it could not be read.
    pub(super) fn text(&self, arg: u8) -> Option<&'a [u8]> {
        if self.view.fixed.header.flags & FLAG_EMPTY_NAME != 0 {
            return Some(b"");
        }
        let is_it = |s: &Section<'_>| s.kind == section::STRING && s.arg == arg && !s.fault;
        self.view.sections().find(is_it).map(|s| s.data)
    }

    /// The captured socket address.
    pub(super) fn address(&self) -> Option<&'a [u8]> {
        let found = self.view.sections().find(|s| s.kind == section::SOCKADDR && !s.fault);
        found.map(|s| s.data)
    }

    /// The captured addresses of the second and further messages of a call that exchanges several, and whether there were
    /// more messages than are looked at.
    pub(super) fn other_addresses(&self) -> (impl Iterator<Item = &'a [u8]>, bool) {
        let all = self.view.sections().filter(|s| s.kind == section::SOCKADDR && !s.fault);
        (all.skip(1).map(|s| s.data), self.ret > i64::from(MESSAGES_MAX))
    }

    /// Captured buffer contents.
    #[inline]
    pub(super) fn buffer(&self) -> &'a [u8] {
        // Most records have no sections.
        if self.view.section_bytes().is_empty() {
            return &[];
        }
        self.view.section(section::BUFFER).map_or(&[], |s| s.data)
    }

    /// The captured structure's number of 4 or 8 bytes at an offset.
    pub(super) fn field(&self, at: u8, len: u8) -> Option<u64> {
        let data = self.section(section::STRUCT)?.data;
        let at = usize::from(at);
        if len == 4 {
            let bytes = data.get(at..at + 4)?.try_into().ok()?;
            return Some(u64::from(u32::from_ne_bytes(bytes)));
        }
        let bytes = data.get(at..at + 8)?.try_into().ok()?;
        Some(u64::from_ne_bytes(bytes))
    }

    /// The two descriptors that the kernel wrote.
    pub(super) fn pair(&self) -> Option<[i32; 2]> {
        self.section(section::I32_PAIR)?.i32_pair()
    }

    /// The `open(2)` flags that a new descriptor was asked with.
    #[inline]
    pub(super) fn flags(&self, flags: Flags) -> u32 {
        let cloexec = |set: bool| if set { libc::O_CLOEXEC as u32 } else { 0 };
        match flags {
            Flags::Const(flags) => flags,
            Flags::Arg(at) => self.arg32(at),
            Flags::LowBit(at) => cloexec(self.arg32(at) & 1 != 0),
            Flags::Bit3(at) => cloexec(self.arg32(at) & 8 != 0),
            Flags::Field => self.field(0, 8).unwrap_or(0) as u32,
            Flags::Path(at) => libc::O_PATH as u32 | self.arg32(at) & libc::O_CLOEXEC as u32,
        }
    }

    /// Whether `exec` closes the new descriptor.
    pub(super) fn cloexec(&self, flags: Flags) -> bool {
        self.flags(flags) & libc::O_CLOEXEC as u32 != 0
    }
}

/// Text made while a record is looked at; kept to save allocations.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The resolved paths, in the order of the plan's path arguments.
    pub(super) paths: [Vec<u8>; MAX_PATHS],
    /// The kernel's path of the file behind the descriptor; empty when it gave none.
    pub(super) kernel: Vec<u8>,
    /// The captured socket address as text; empty when there is none.
    pub(super) address: Vec<u8>,
    /// Those of further messages of the same call.
    pub(super) others: Vec<u8>,
}

impl Value {
    /// Writes the value of a parameter, as an event carries it, over an [`Arg::None`]. `opened` is what the kernel says
    /// was opened and the name it was opened by, if the call did that: the event shows the same truth as the descriptor.
    ///
    /// Written in place: returned, it would be stored in parts and read as a whole at once, for which the processor waits.
    #[inline(always)]
    pub(super) fn put<'a>(
        self,
        call: &Call<'a>,
        paths: &[super::plan::PathArg],
        scratch: &'a Scratch,
        opened: Option<(&'a FdEntry, &'a [u8])>,
        to: &mut Arg<'a>,
    ) {
        match self {
            Value::Signed(at) => *to = Arg::Num(i64::from(call.arg(at) as i32)),
            Value::Unsigned(at) => *to = Arg::Num(i64::from(call.arg32(at))),
            Value::Whole(at) => *to = Arg::Num(call.arg(at) as i64),
            Value::Absent => {}
            Value::Number => *to = Arg::Num(i64::from(call.nr)),
            Value::OpenMode(at, flags) => *to = open_mode(call, at, flags),
            _ => match (self, opened) {
                (Value::Path(0), Some((entry, raw))) => {
                    *to = Arg::Path {
                        resolved: &entry.name,
                        raw,
                    }
                }
                (Value::Device, Some((entry, _))) => *to = Arg::Num(entry.dev as i64),
                (Value::Inode, Some((entry, _))) => *to = Arg::Num(entry.ino as i64),
                _ => *to = self.behind_pointer(call, paths, scratch),
            },
        }
    }

    /// The value of a parameter that does not stand in a register alone, or not as it is told.
    fn behind_pointer<'a>(self, call: &Call<'a>, paths: &[super::plan::PathArg], scratch: &'a Scratch) -> Arg<'a> {
        match self {
            Value::Text(at) => call.text(at).map_or(Arg::None, Arg::Str),
            Value::TextIf(at, when, is) if call.arg(when) == is => call.text(at).map_or(Arg::None, Arg::Str),
            Value::Path(at) => path(call, paths, usize::from(at), scratch),
            Value::KernelPath if !scratch.kernel.is_empty() => Arg::Path {
                resolved: &scratch.kernel,
                raw: &scratch.kernel,
            },
            Value::Address if !scratch.address.is_empty() => Arg::Str(&scratch.address),
            Value::Others if !scratch.others.is_empty() => Arg::Str(&scratch.others),
            Value::Device => file(call).map_or(Arg::None, |f| Arg::Num(super::files::stat_device(f.dev) as i64)),
            Value::Inode => file(call).map_or(Arg::None, |f| Arg::Num(f.ino as i64)),
            Value::Pair(at) => pair(call, at),
            Value::ShortId(at) => Arg::Num(i64::from(long_id(call.arg(at) as u16))),
            Value::Field(at, len) => call.field(at, len).map_or(Arg::None, |v| Arg::Num(v as i64)),
            _ => Arg::None,
        }
    }
}

/// A user or group of 16 bits as the kernel takes it (`low2highuid` in `linux/highuid.h`).
fn long_id(short: u16) -> u32 {
    if short == u16::MAX { u32::MAX } else { u32::from(short) }
}

/// The mode bits of a call that opens a file: the kernel reads them only where it makes one.
#[inline]
pub(super) fn open_mode<'a>(call: &Call<'_>, at: u8, flags: u8) -> Arg<'a> {
    // O_TMPFILE holds the bit of O_DIRECTORY too.
    let making = call.arg32(flags) as i32 & (libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY)) != 0;
    if making {
        Arg::Num(i64::from(call.arg32(at) & 0o7777))
    } else {
        Arg::None
    }
}

fn path<'a>(call: &Call<'a>, paths: &[super::plan::PathArg], at: usize, scratch: &'a Scratch) -> Arg<'a> {
    let raw = paths.get(at).and_then(|p| call.text(p.arg));
    match (raw, scratch.paths.get(at)) {
        (Some(raw), Some(resolved)) => Arg::Path { resolved, raw },
        _ => Arg::None,
    }
}

fn file(call: &Call<'_>) -> Option<section::File> {
    call.section(section::FILE)?.file()
}

fn pair<'a>(call: &Call<'_>, at: u8) -> Arg<'a> {
    let number = call.pair().and_then(|pair| pair.get(usize::from(at)).copied());
    number.map_or(Arg::None, |fd| Arg::Num(i64::from(fd)))
}
