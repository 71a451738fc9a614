//! Borrowed views of the records in the rings.
//!
//! The kernel side is ours, and still nothing is taken on trust here: every length is checked against the bytes
//! that are there.

use ctrace_trace::scan;
use ctrace_wire::{
    Pod,
    record::{
        Cgroup, Exec, Exit, Fork, Header, IoComplete, IoSubmit, KIND_CGROUP_MKDIR, KIND_CGROUP_RMDIR, KIND_EXEC,
        KIND_EXIT, KIND_FORK, KIND_IO_COMPLETE, KIND_IO_SUBMIT, KIND_SYSCALL, KIND_SYSCALL_ENTER, MAX_ARGS, Syscall,
        arg_count,
    },
    section::{self, ARG_DETACHED, ARG_FAULT, ARG_MASK, ARG_TRUNCATED, Credentials, FULL_LEN_UNKNOWN, File, Socket},
};

/// The bytes are no record: too short, a wrong length, or an unknown kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A record of any kind.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    /// A syscall returned.
    Syscall(SyscallView<'a>),
    /// A syscall was entered.
    SyscallEnter(SyscallView<'a>),
    /// A program started.
    Exec(View<'a, Exec>),
    /// A process or thread was made.
    Fork(View<'a, Fork>),
    /// A thread ended.
    Exit(View<'a, Exit>),
    /// A cgroup was made.
    CgroupMkdir(View<'a, Cgroup>),
    /// A cgroup was removed.
    CgroupRmdir(View<'a, Cgroup>),
    /// A request was submitted to an io_uring.
    IoSubmit(View<'a, IoSubmit>),
    /// A request of an io_uring was completed.
    IoComplete(View<'a, IoComplete>),
}

/// The fixed part of a record, and its sections.
#[derive(Debug)]
pub struct View<'a, T: ?Sized> {
    /// The fixed part, as it lies there: to copy it would cost more than to look at it.
    pub fixed: &'a T,
    sections: &'a [u8],
}

/// A syscall with as many arguments as were kept.
pub type SyscallView<'a> = View<'a, Syscall<[u64]>>;

impl<T: ?Sized> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: ?Sized> Copy for View<'_, T> {}

impl<'a, T: ?Sized> View<'a, T> {
    /// A record made of a fixed part and the sections of others.
    pub(crate) fn new(fixed: &'a T, sections: &'a [u8]) -> Self {
        Self { fixed, sections }
    }

    /// All sections as they were captured.
    pub(crate) fn section_bytes(&self) -> &'a [u8] {
        self.sections
    }

    /// The sections in the order they were captured.
    pub fn sections(&self) -> Sections<'a> {
        Sections { rest: self.sections }
    }

    /// The first section of a kind.
    pub fn section(&self, kind: u8) -> Option<Section<'a>> {
        self.sections().find(|section| section.kind == kind)
    }
}

impl<'a> Record<'a> {
    /// Reads a record, which begins at a multiple of eight, as all do in a ring.
    ///
    /// Syscalls apart, which are most.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let kind = check(bytes)?.kind;
        match arg_count(kind, KIND_SYSCALL) {
            Some(count) => Ok(Self::Syscall(syscall(bytes, count)?)),
            None => Self::parse_other(kind, bytes),
        }
    }

    #[inline(never)]
    fn parse_other(kind: u8, bytes: &'a [u8]) -> Result<Self, Malformed> {
        Ok(match kind {
            KIND_EXEC => Self::Exec(view(bytes)?),
            KIND_FORK => Self::Fork(view(bytes)?),
            KIND_EXIT => Self::Exit(view(bytes)?),
            KIND_CGROUP_MKDIR => Self::CgroupMkdir(view(bytes)?),
            KIND_CGROUP_RMDIR => Self::CgroupRmdir(view(bytes)?),
            KIND_IO_SUBMIT => Self::IoSubmit(view(bytes)?),
            KIND_IO_COMPLETE => Self::IoComplete(view(bytes)?),
            kind => {
                let count = arg_count(kind, KIND_SYSCALL_ENTER).ok_or(Malformed)?;
                Self::SyscallEnter(syscall(bytes, count)?)
            }
        })
    }

    /// The common part.
    #[inline]
    pub fn header(&self) -> &'a Header {
        match self {
            Self::Syscall(view) | Self::SyscallEnter(view) => &view.fixed.header,
            Self::Exec(view) => &view.fixed.header,
            Self::Fork(view) => &view.fixed.header,
            Self::Exit(view) => &view.fixed.header,
            Self::CgroupMkdir(view) | Self::CgroupRmdir(view) => &view.fixed.header,
            Self::IoSubmit(view) => &view.fixed.header,
            Self::IoComplete(view) => &view.fixed.header,
        }
    }
}

/// The header of a record that [`Record::parse`] takes. No more of it is read, since what was just made by another CPU is
/// dear to look at.
#[inline]
pub(super) fn check(bytes: &[u8]) -> Result<Header, Malformed> {
    let header: Header = read(bytes).ok_or(Malformed)?;
    let fixed = FIXED.get(usize::from(header.kind)).ok_or(Malformed)?;
    if header.len as usize != bytes.len() || bytes.len() < *fixed {
        return Err(Malformed);
    }
    Ok(header)
}

/// How long the fixed part of a record is, by kind: of a kind that there is not, longer than all.
const FIXED: [usize; KIND_SYSCALL_ENTER as usize + MAX_ARGS + 1] = {
    let mut fixed = [usize::MAX; KIND_SYSCALL_ENTER as usize + MAX_ARGS + 1];
    fixed[KIND_EXEC as usize] = size_of::<Exec>();
    fixed[KIND_FORK as usize] = size_of::<Fork>();
    fixed[KIND_EXIT as usize] = size_of::<Exit>();
    fixed[KIND_CGROUP_MKDIR as usize] = size_of::<Cgroup>();
    fixed[KIND_CGROUP_RMDIR as usize] = size_of::<Cgroup>();
    fixed[KIND_IO_SUBMIT as usize] = size_of::<IoSubmit>();
    fixed[KIND_IO_COMPLETE as usize] = size_of::<IoComplete>();
    let mut count = 0;
    while count <= MAX_ARGS {
        fixed[KIND_SYSCALL as usize + count] = syscall_len(count);
        fixed[KIND_SYSCALL_ENTER as usize + count] = syscall_len(count);
        count += 1;
    }
    fixed
};

/// How long the fixed part of a syscall is that has so many arguments.
const fn syscall_len(count: usize) -> usize {
    size_of::<Syscall<[u64; 0]>>() + count * size_of::<u64>()
}

/// Fixed part and sections of a record.
#[inline]
fn view<T: Pod>(bytes: &[u8]) -> Result<View<'_, T>, Malformed> {
    let (fixed, sections) = split::<T>(bytes, size_of::<T>())?;
    // SAFETY: the slice holds size_of::<T>() bytes that are aligned for T, and a Pod type is valid for any of them.
    let fixed = unsafe { &*fixed.as_ptr().cast::<T>() };
    Ok(View { fixed, sections })
}

/// The same of a syscall with so many arguments.
#[inline]
fn syscall(bytes: &[u8], count: usize) -> Result<SyscallView<'_>, Malformed> {
    let (fixed, sections) = split::<Syscall>(bytes, syscall_len(count))?;
    let fixed = std::ptr::slice_from_raw_parts(fixed.as_ptr().cast::<u64>(), count) as *const Syscall<[u64]>;
    // SAFETY: the slice holds what a syscall is with so many arguments, aligned for it, and that is Pod whatever their number.
    let fixed = unsafe { &*fixed };
    Ok(View { fixed, sections })
}

/// So many bytes, which are aligned for a type, and those behind them.
#[inline]
fn split<T>(bytes: &[u8], len: usize) -> Result<(&[u8], &[u8]), Malformed> {
    let parts = bytes.split_at_checked(len);
    parts
        .filter(|_| bytes.as_ptr().cast::<T>().is_aligned())
        .ok_or(Malformed)
}

/// Reads a structure from the start of the bytes.
fn read<T: Pod>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.get(..size_of::<T>())?;
    // SAFETY: the slice holds size_of::<T>() bytes, and a Pod type is valid for any of them; alignment is not assumed.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// Goes through the sections of a record. Ends at the first one that does not fit.
#[derive(Clone, Debug)]
pub struct Sections<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Sections<'a> {
    type Item = Section<'a>;

    fn next(&mut self) -> Option<Section<'a>> {
        let head: section::Section = read(self.rest)?;
        let content = self.rest.get(size_of::<section::Section>()..)?;
        let len = usize::from(head.len);
        let data = content.get(..len)?;
        self.rest = content.get(section::padded(len)..).unwrap_or_default();
        Some(Section {
            kind: head.kind,
            arg: head.arg & ARG_MASK,
            truncated: head.arg & ARG_TRUNCATED != 0,
            fault: head.arg & ARG_FAULT != 0,
            detached: head.arg & ARG_DETACHED != 0,
            full_len: (head.full_len != FULL_LEN_UNKNOWN).then_some(head.full_len),
            data,
        })
    }
}

/// What a path begins with where no name leads to it, as the kernel's own `getcwd` has it.
pub const UNREACHABLE: &[u8] = b"(unreachable)";

/// One captured thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// A kind of [`ctrace_wire::section`].
    pub kind: u8,
    /// The argument it was captured from, 0 where there is none.
    pub arg: u8,
    /// There was more than `data`.
    pub truncated: bool,
    /// The memory could not be read; `data` is empty.
    pub fault: bool,
    /// A path that leads to the root of a file system which is mounted nowhere.
    pub detached: bool,
    /// The true length in bytes, where the kernel side knew it.
    pub full_len: Option<u32>,
    /// The content.
    pub data: &'a [u8],
}

impl<'a> Section<'a> {
    /// The content as a file's identity.
    pub fn file(&self) -> Option<File> {
        if self.kind == section::FILE {
            read(self.data)
        } else {
            None
        }
    }

    /// The content as a socket's state.
    pub fn socket(&self) -> Option<Socket> {
        if self.kind == section::SOCKET {
            read(self.data)
        } else {
            None
        }
    }

    /// The content as a thread's credentials.
    pub fn credentials(&self) -> Option<Credentials> {
        if self.kind == section::CREDENTIALS {
            read(self.data)
        } else {
            None
        }
    }

    /// The content as two integers.
    pub fn i32_pair(&self) -> Option<[i32; 2]> {
        let (first, second) = (self.data.get(..4)?, self.data.get(4..8)?);
        let pair = [
            i32::from_ne_bytes(first.try_into().ok()?),
            i32::from_ne_bytes(second.try_into().ok()?),
        ];
        (self.kind == section::I32_PAIR).then_some(pair)
    }

    /// The content as integers of 32 bits.
    pub fn integers(&self) -> impl Iterator<Item = i32> + use<'a> {
        let all = self.data.chunks_exact(4);
        all.filter_map(|bytes| Some(i32::from_ne_bytes(bytes.try_into().ok()?)))
    }

    /// The strings of a command line, environment or string array, without their NULs.
    pub fn strings(&self) -> impl Iterator<Item = &'a [u8]> {
        let data = self.data.strip_suffix(b"\0").unwrap_or(self.data);
        let none = self.data.is_empty();
        data.split(|byte| *byte == 0).filter(move |_| !none)
    }

    /// Replaces `to` by the path that the content's components make.
    ///
    /// A whole path starts with a slash, unless it is the one name of a file without a directory
    /// ([`section::FILE_PSEUDO`], for the caller to know from the file's identity). A truncated one lacks its
    /// beginning and starts with `...`. One of a file system that is mounted nowhere starts with [`UNREACHABLE`].
    pub fn path_into(&self, pseudo: bool, to: &mut Vec<u8>) {
        to.clear();
        if pseudo {
            to.extend(self.strings().next().unwrap_or_default());
            return;
        }
        let start = if self.detached { UNREACHABLE } else { b"" };
        to.extend_from_slice(start);
        if self.truncated {
            to.extend(b"...");
        }
        // Each name takes as much room as with its NUL; the last may lack one.
        to.reserve(self.data.len() + 1);
        let root = if self.detached { &b"/\0"[..] } else { b"" };
        let mut left = self.data.strip_suffix(root).unwrap_or(self.data);
        while let Some((&last, before)) = left.split_last() {
            let end = if last == 0 { before } else { left };
            let start = scan::last(0, end).map_or(0, |nul| nul + 1);
            let (rest, component) = end.split_at(start);
            if !component.is_empty() {
                to.push(b'/');
                to.extend_from_slice(component);
            }
            left = rest;
        }
        if to == start {
            to.push(b'/');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(kind: u8, arg: u8, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, arg];
        bytes.extend((data.len() as u16).to_ne_bytes());
        bytes.extend((data.len() as u32).to_ne_bytes());
        bytes.extend(data);
        bytes.resize(section::padded(bytes.len()), 0xaa);
        bytes
    }

    fn record(kind: u8, fixed_len: usize, sections: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = vec![0; fixed_len];
        bytes.extend(sections.concat());
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_ne_bytes());
        bytes[4] = kind;
        bytes
    }

    #[test]
    fn sections_are_read_in_order() {
        let bytes = record(
            KIND_SYSCALL,
            syscall_len(0),
            &[
                section(section::STRING, 1, b"etc/passwd"),
                section(section::I32_PAIR, 0, &[3, 0, 0, 0, 4, 0, 0, 0]),
            ],
        );
        let Ok(Record::Syscall(view)) = Record::parse(&bytes) else {
            panic!("parses as a syscall")
        };
        let sections: Vec<_> = view.sections().collect();
        assert_eq!(sections.len(), 2);
        assert_eq!((sections[0].arg, sections[0].data), (1, &b"etc/passwd"[..]));
        assert_eq!(sections[1].i32_pair(), Some([3, 4]));
    }

    #[test]
    fn arguments_are_as_many_as_the_kind_says() {
        let text = section(section::STRING, 0, b"x");
        let args: Vec<u8> = (1..=7_u64).flat_map(u64::to_ne_bytes).collect();
        for (from, count) in [KIND_SYSCALL, KIND_SYSCALL_ENTER]
            .into_iter()
            .flat_map(|from| (0..=MAX_ARGS).map(move |count| (from, count)))
        {
            let kind = from + count as u8;
            let parts = [args[..8 * count].to_vec(), text.clone()];
            let bytes = record(kind, syscall_len(0), &parts);
            let Ok(Record::Syscall(view) | Record::SyscallEnter(view)) = Record::parse(&bytes) else {
                panic!("parses as a syscall")
            };
            let kept = std::array::from_fn(|at| if at < count { at as u64 + 1 } else { 0 });
            assert_eq!((view.fixed.args.len(), view.fixed.all_args()), (count, kept));
            assert_eq!([6, 255].map(|at| view.fixed.arg(at)), [0; 2]);
            assert_eq!(view.section(section::STRING).map(|s| s.data), Some(&b"x"[..]));
            let cut = record(kind, syscall_len(0), &[vec![0; (8 * count).saturating_sub(8)]]);
            assert_eq!(
                (Record::parse(&cut).is_ok(), check(&cut).is_ok()),
                (count == 0, count == 0)
            );
        }
        for kind in [KIND_SYSCALL - 1, KIND_SYSCALL + 7, KIND_SYSCALL_ENTER + 7, u8::MAX] {
            assert!(Record::parse(&record(kind, 500, &[])).is_err(), "{kind}");
        }
    }

    #[test]
    fn what_is_not_aligned_is_not_taken() {
        let bytes = [vec![0], record(KIND_SYSCALL, syscall_len(0), &[])].concat();
        assert_eq!(bytes.as_ptr() as usize % 2, 0);
        assert!(Record::parse(&bytes[1..]).is_err());
    }

    #[test]
    fn paths_are_turned_around() {
        let path = |arg, data: &[u8], pseudo| {
            let bytes = section(section::FILE_PATH, arg, data);
            let mut to = Vec::new();
            Sections { rest: &bytes }
                .next()
                .expect("one section")
                .path_into(pseudo, &mut to);
            String::from_utf8(to).expect("ASCII")
        };
        assert_eq!(path(0, b"passwd\0etc\0", false), "/etc/passwd");
        assert_eq!(path(0, b"", false), "/");
        assert_eq!(path(0, b"a\0\0b\0\0", false), "/b/a");
        assert_eq!(path(0, b"\0a\0b", false), "/b/a");
        assert_eq!(path(0, b"memfd:x\0", true), "memfd:x");
        assert_eq!(path(ARG_TRUNCATED, b"c\0b\0", false), ".../b/c");
        assert_eq!(path(ARG_DETACHED, b"c\0b\0/\0", false), "(unreachable)/b/c");
        assert_eq!(path(ARG_DETACHED, b"/\0", false), "(unreachable)/");
        assert_eq!(path(ARG_DETACHED | ARG_TRUNCATED, b"c\0", false), "(unreachable).../c");
    }

    #[test]
    fn damaged_records_never_panic() {
        let bytes = record(
            KIND_EXEC,
            size_of::<Exec>(),
            &[section(section::EXEC_ARGV, 0, b"sh\0-c\0id\0")],
        );
        for len in 0..bytes.len() {
            assert!(Record::parse(&bytes[..len]).is_err(), "a cut record has a wrong length");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            if let Ok(Record::Exec(view)) = Record::parse(&damaged) {
                let _ = view.sections().map(|section| section.strings().count()).sum::<usize>();
            }
        }
    }

    #[test]
    fn empty_and_unterminated_string_lists() {
        let strings = |data: &[u8]| {
            let bytes = section(section::EXEC_ARGV, 0, data);
            let section = Sections { rest: &bytes }.next().expect("one section");
            section.strings().map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        assert_eq!(strings(b""), Vec::<Vec<u8>>::new());
        assert_eq!(strings(b"a\0\0b\0"), vec![b"a".to_vec(), Vec::new(), b"b".to_vec()]);
        assert_eq!(strings(b"a\0b"), vec![b"a".to_vec(), b"b".to_vec()]);
    }
}
