//! Arguments, results and descriptor numbers: columns per event type, one type after the other.

use super::decoded::{ABSENT, FdRecord, RawPath, StrId, Strings};
use super::numbers::{self, NumBuffer, Scatter};
use super::raw_path::{raw_path, read_raw, write_raw};
use super::strings::{Interner, Numbering, Refs, StrRef};
use super::varint::{Cursor, Malformed, put};
use crate::event::Arg;
use crate::scan::same_text;
use crate::schema::{Param, ParamKind};

/// The values of one parameter while a block is built; strings by provisional id.
#[derive(Debug)]
pub(super) enum ArgBuffer {
    Num { delta: bool, values: NumBuffer },
    Str(Vec<StrId>),
    Path(Vec<PathValue>),
}

/// A path argument while a block is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathValue {
    None,
    /// The resolved path is the name of the event's open object.
    OfFd(RawPath),
    Own(StrId, RawPath),
}

impl ArgBuffer {
    pub(super) fn new(param: &Param) -> ArgBuffer {
        match param.kind {
            ParamKind::Path => ArgBuffer::Path(Vec::new()),
            ParamKind::Str | ParamKind::SockAddr => ArgBuffer::Str(Vec::new()),
            kind => ArgBuffer::Num {
                delta: kind.is_delta(),
                values: NumBuffer::default(),
            },
        }
    }

    /// Whether an argument may stand for the parameter.
    pub(super) fn takes(&self, arg: &Arg<'_>) -> bool {
        matches!(
            (self, arg),
            (_, Arg::None)
                | (ArgBuffer::Num { .. }, Arg::Num(_))
                | (ArgBuffer::Str(_), Arg::Str(_))
                | (ArgBuffer::Path(_), Arg::Path { .. })
        )
    }

    /// Adds a text that is [taken](ArgBuffer::takes) here; numbers are added several at once. `object` is the event's open
    /// object.
    #[inline]
    pub(super) fn push_text(&mut self, arg: &Arg<'_>, object: &Named<'_>, strings: &mut Interner) {
        match self {
            ArgBuffer::Num { .. } => (),
            ArgBuffer::Str(values) => values.push(match arg {
                Arg::Str(s) => strings.id(s),
                _ => StrId::NONE,
            }),
            ArgBuffer::Path(values) => values.push(match arg {
                Arg::Path { resolved, raw } if !resolved.is_empty() && same_text(resolved, object.name) => {
                    PathValue::OfFd(object.raw_path(strings, raw))
                }
                Arg::Path { resolved, raw } => {
                    let id = strings.id(resolved);
                    PathValue::Own(id, raw_path(strings, resolved, raw))
                }
                _ => PathValue::None,
            }),
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            ArgBuffer::Num { values, .. } => values.clear(),
            ArgBuffer::Str(values) => values.clear(),
            ArgBuffer::Path(values) => values.clear(),
        }
    }
}

/// The names of an open object, which has been added to its table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    pub(super) name: &'a [u8],
    pub(super) name_raw: &'a [u8],
    /// What the table has of `name_raw`.
    pub(super) known: RawPath,
}

impl Named<'_> {
    /// That of no object.
    pub(super) const NONE: Named<'static> = Named {
        name: &[],
        name_raw: &[],
        known: RawPath::Same,
    };

    /// A caller's form of the name. Mostly it is the one of the object itself, which lies in one place for both.
    #[inline]
    fn raw_path(&self, strings: &mut Interner, raw: &[u8]) -> RawPath {
        if !raw.is_empty() && std::ptr::eq(raw, self.name_raw) {
            self.known
        } else {
            raw_path(strings, self.name, raw)
        }
    }
}

/// First byte of a column of strings or paths: no event has one, or codes follow.
const ALL_NONE: u8 = 0;
const CODES: u8 = 1;

/// Codes of a string argument.
mod str_code {
    pub(super) const NONE: u64 = 0;
    pub(super) const NEW: u64 = 1;
    pub(super) const SAME: u64 = 2;
    /// Id (from 1) + this.
    pub(super) const KNOWN: u64 = 2;
}

/// Codes of the resolved form of a path argument.
mod path_code {
    pub(super) const NONE: u64 = 0;
    pub(super) const NEW: u64 = 1;
    pub(super) const SAME: u64 = 2;
    pub(super) const OF_FD: u64 = 3;
    /// Id (from 1) + this.
    pub(super) const KNOWN: u64 = 3;
}

/// First bytes of a column of numbers, beside those of [`numbers`], where other columns say them.
mod elsewhere {
    /// Each is its open object's inode or device number, absent where there is no object. So it is with what `openat`
    /// returned.
    pub(super) const INODE: u8 = 16;
    pub(super) const DEVICE: u8 = 17;
    /// The same, and absent where that number is 0: where it failed, the object has no more than a name.
    pub(super) const KNOWN_INODE: u8 = 18;
    pub(super) const KNOWN_DEVICE: u8 = 19;
    /// Each is its event's descriptor number: in the bulk family, whose arguments are read behind these.
    pub(super) const FD_NUMBER: u8 = 20;
}

/// What the columns of an event type say that are read before its arguments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before<'a> {
    /// The open objects of its events, as provisional indices.
    pub(super) of_event: &'a [u32],
    /// All open objects.
    pub(super) fds: &'a [FdRecord],
    /// The descriptor numbers of its events, where these are read before.
    pub(super) fd_nums: Option<&'a NumBuffer>,
}

impl Before<'_> {
    /// How a column says that all of its numbers are there already.
    fn says(&self, values: &NumBuffer) -> Option<u8> {
        if self.fd_nums.is_some_and(|nums| nums == values) {
            return Some(elsewhere::FD_NUMBER);
        }
        let inode = || self.of_files(values, |fd| fd.ino, [elsewhere::INODE, elsewhere::KNOWN_INODE]);
        let device = || self.of_files(values, |fd| fd.dev, [elsewhere::DEVICE, elsewhere::KNOWN_DEVICE]);
        inode().or_else(device)
    }

    /// Whether a column has a number of each event's open object: which of the two codes says how.
    fn of_files(&self, values: &NumBuffer, number: impl Fn(&FdRecord) -> u64, [any, known]: [u8; 2]) -> Option<u8> {
        let (mut is_any, mut is_known) = (true, true);
        let mut of_event = self.of_event.iter();
        let is_there = |v| {
            let fd = of_event.next().copied().unwrap_or(0);
            let there = number_of(fd, self.fds.get(fd as usize), &number);
            is_any &= v == there;
            is_known &= v == known_only(there);
            is_any || is_known
        };
        let all = values.iter().all(is_there);
        all.then_some(if is_any { any } else { known })
    }
}

/// Appends a column of numbers.
pub(super) fn write_nums(values: &NumBuffer, delta: bool, before: Before<'_>, out: &mut Vec<u8>) {
    match before.says(values) {
        Some(code) if !values.is_constant() => out.push(code),
        _ => values.write(out, delta),
    }
}

#[inline]
fn number_of(fd: u32, record: Option<&FdRecord>, number: impl Fn(&FdRecord) -> u64) -> i64 {
    match record {
        Some(record) if fd != 0 => number(record) as i64,
        _ => ABSENT,
    }
}

/// A number of an open object, absent where it is not known.
#[inline]
fn known_only(number: i64) -> i64 {
    if number == 0 { ABSENT } else { number }
}

/// Appends a column of strings.
pub(super) fn write_strs(ids: &[StrId], numbering: &mut Numbering, out: &mut Vec<u8>) {
    if ids.iter().all(|id| *id == StrId::NONE) {
        out.push(ALL_NONE);
        return;
    }
    out.push(CODES);
    let mut last = StrId::NONE;
    for &id in ids {
        match numbering.refer(id) {
            StrRef::Known(0) => put(out, str_code::NONE),
            StrRef::New => put(out, str_code::NEW),
            StrRef::Known(_) if id == last => put(out, str_code::SAME),
            StrRef::Known(known) => put(out, u64::from(known) + str_code::KNOWN),
        }
        last = id;
    }
}

/// Reads a column of `n` strings.
pub(super) fn read_strs(
    cursor: &mut Cursor<'_>,
    refs: &mut Refs,
    n: usize,
    out: &mut Vec<StrId>,
) -> Result<(), Malformed> {
    match cursor.byte()? {
        ALL_NONE => {
            out.resize(n, StrId::NONE);
            return Ok(());
        }
        CODES => (),
        _ => return Err(Malformed::UnknownMode),
    }
    let mut last = StrId::NONE;
    for _ in 0..n {
        last = match cursor.get()? {
            str_code::NONE => StrId::NONE,
            str_code::NEW => refs.fresh()?,
            str_code::SAME => last,
            id => refs.known(id - str_code::KNOWN)?,
        };
        out.push(last);
    }
    Ok(())
}

/// What the coding of paths is relative to.
pub(super) struct PathWriter<'a> {
    pub(super) interner: &'a Interner,
    pub(super) numbering: &'a mut Numbering,
    /// All open objects by provisional index.
    pub(super) fds: &'a [FdRecord],
}

impl PathWriter<'_> {
    /// Appends a column of paths, resolved forms and callers' forms apart. `fds` are the events' open objects.
    pub(super) fn write(&mut self, values: &[PathValue], fds: &[u32], paths: &mut Vec<u8>, raws: &mut Vec<u8>) {
        if values.iter().all(|v| *v == PathValue::None) {
            paths.push(ALL_NONE);
            return;
        }
        paths.push(CODES);
        let mut last = StrId::NONE;
        for (value, fd) in values.iter().zip(fds) {
            last = match *value {
                PathValue::None => {
                    put(paths, path_code::NONE);
                    StrId::NONE
                }
                PathValue::OfFd(raw) => {
                    let record = &self.fds[*fd as usize];
                    put(paths, path_code::OF_FD);
                    write_raw(
                        raws,
                        raw,
                        record.name_raw,
                        || self.interner.get(record.name),
                        self.numbering,
                    );
                    record.name
                }
                PathValue::Own(id, raw) => {
                    self.write_own(id, last, paths);
                    let resolved = || self.interner.get(id);
                    write_raw(raws, raw, RawPath::Same, resolved, self.numbering);
                    id
                }
            };
        }
    }

    fn write_own(&mut self, id: StrId, last: StrId, paths: &mut Vec<u8>) {
        match self.numbering.refer(id) {
            StrRef::New => put(paths, path_code::NEW),
            StrRef::Known(_) if id == last => put(paths, path_code::SAME),
            StrRef::Known(known) => put(paths, u64::from(known) + path_code::KNOWN),
        }
    }
}

/// The open objects that numbers and paths are relative to, while they are read.
pub(super) struct FdLookup<'a> {
    pub(super) strings: &'a Strings,
    pub(super) fds: &'a [FdRecord],
}

/// The open objects of the events of a type, as indices; 0 for none.
#[derive(Clone, Copy, Debug)]
pub(super) enum OfEvents<'a> {
    /// One per event; empty where no event has one.
    Each(&'a [u32]),
    /// The rows of the events, and what all events of the block have: objects and descriptor numbers.
    Rows(&'a [u32], &'a [u32], &'a [i64]),
}

impl OfEvents<'_> {
    #[inline]
    fn at(self, ordinal: usize) -> u32 {
        let fd = match self {
            OfEvents::Each(fds) => fds.get(ordinal),
            OfEvents::Rows(rows, fds, _) => rows.get(ordinal).and_then(|row| fds.get(*row as usize)),
        };
        fd.copied().unwrap_or(0)
    }

    /// Appends the descriptor numbers of `n` events.
    fn fd_nums(self, n: usize, out: &mut Vec<i64>) -> Result<(), Malformed> {
        let OfEvents::Rows(rows, _, nums) = self else {
            return Err(Malformed::UnknownMode);
        };
        let rows = rows.get(..n).ok_or(Malformed::Counts)?;
        out.extend(
            rows.iter()
                .map(|row| nums.get(*row as usize).copied().unwrap_or(ABSENT)),
        );
        Ok(())
    }
}

impl FdLookup<'_> {
    /// Reads a column of `n` numbers.
    pub(super) fn read_nums(
        &self,
        cursor: &mut Cursor<'_>,
        n: usize,
        of_event: OfEvents<'_>,
        out: &mut Vec<i64>,
    ) -> Result<(), Malformed> {
        let (number, of_known): (fn(&FdRecord) -> u64, bool) = match cursor.peek() {
            Some(elsewhere::INODE) => (|fd| fd.ino, false),
            Some(elsewhere::DEVICE) => (|fd| fd.dev, false),
            Some(elsewhere::KNOWN_INODE) => (|fd| fd.ino, true),
            Some(elsewhere::KNOWN_DEVICE) => (|fd| fd.dev, true),
            Some(elsewhere::FD_NUMBER) => {
                cursor.byte()?;
                return of_event.fd_nums(n, out);
            }
            _ => {
                out.reserve(n);
                return numbers::read(cursor, n, out);
            }
        };
        cursor.byte()?;
        for ordinal in 0..n {
            let fd = of_event.at(ordinal);
            let there = number_of(fd, self.fds.get(fd as usize), number);
            out.push(if of_known { known_only(there) } else { there });
        }
        Ok(())
    }

    /// Reads a column of `n` paths: resolved forms and callers' forms.
    pub(super) fn read_paths(
        &self,
        [paths, raws]: [&mut Cursor<'_>; 2],
        refs: &mut Refs,
        n: usize,
        of_event: OfEvents<'_>,
        out: &mut Vec<(StrId, RawPath)>,
    ) -> Result<(), Malformed> {
        match paths.byte()? {
            ALL_NONE => {
                out.resize(n, (StrId::NONE, RawPath::Same));
                return Ok(());
            }
            CODES => (),
            _ => return Err(Malformed::UnknownMode),
        }
        let mut last = StrId::NONE;
        for ordinal in 0..n {
            let mut predicted = RawPath::Same;
            last = match paths.get()? {
                path_code::NONE => {
                    last = StrId::NONE;
                    out.push((last, RawPath::Same));
                    continue;
                }
                path_code::NEW => refs.fresh()?,
                path_code::SAME => last,
                path_code::OF_FD => {
                    let record = self
                        .fds
                        .get(of_event.at(ordinal) as usize)
                        .ok_or(Malformed::UnknownId)?;
                    predicted = record.name_raw;
                    record.name
                }
                id => refs.known(id - path_code::KNOWN)?,
            };
            let raw = read_raw(raws, refs, predicted, || self.strings.get(last))?;
            out.push((last, raw));
        }
        Ok(())
    }
}

/// How a type's descriptor numbers are coded.
const ABSOLUTE: u8 = 0;
const RELATIVE_TO_RESULT: u8 = 1;

/// Appends the descriptor numbers of one event type. `ret_is_fd` says that the result usually is that number.
pub(super) fn write_fd_nums(
    nums: &NumBuffer,
    rets: &NumBuffer,
    ret_is_fd: bool,
    scratch: &mut Vec<i64>,
    out: &mut Vec<u8>,
) {
    scratch.clear();
    if ret_is_fd {
        nums.pairs(rets, relative, scratch);
    }
    // A difference that looks like "absent" would be lost.
    let lossless = scratch
        .iter()
        .zip(nums.iter())
        .all(|(step, num)| (*step == ABSENT) == (num == ABSENT));
    if ret_is_fd && lossless {
        out.push(RELATIVE_TO_RESULT);
        numbers::write(out, scratch, false);
    } else {
        out.push(ABSOLUTE);
        nums.write(out, false);
    }
}

fn relative(num: i64, ret: i64) -> i64 {
    if num == ABSENT || ret == ABSENT {
        num
    } else {
        num.wrapping_sub(ret)
    }
}

/// Reads the descriptor numbers of the events `rows` into `out`, given all results.
pub(super) fn read_fd_nums(
    cursor: &mut Cursor<'_>,
    rows: &[u32],
    rets: &[i64],
    out: &mut [i64],
) -> Result<(), Malformed> {
    let relative = match cursor.byte()? {
        ABSOLUTE => false,
        RELATIVE_TO_RESULT => true,
        _ => return Err(Malformed::UnknownMode),
    };
    numbers::read(cursor, rows.len(), Scatter { rows, out })?;
    if relative {
        for row in rows {
            let (Some(num), Some(ret)) = (out.get_mut(*row as usize), rets.get(*row as usize)) else {
                continue;
            };
            if *num != ABSENT && *ret != ABSENT {
                *num = num.wrapping_add(*ret);
            }
        }
    }
    Ok(())
}

/// Reads the results of the events `rows` into `out`.
pub(super) fn read_rets(cursor: &mut Cursor<'_>, rows: &[u32], out: &mut [i64]) -> Result<(), Malformed> {
    numbers::read(cursor, rows.len(), Scatter { rows, out })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fd::FdKind;

    fn fd(ino: u64) -> FdRecord {
        FdRecord {
            kind: FdKind::File,
            name: StrId::NONE,
            name_raw: RawPath::Same,
            open_flags: 0,
            dev: ino.wrapping_add(1),
            ino,
            socket: None,
        }
    }

    fn buffer(values: &[i64]) -> NumBuffer {
        let mut buffer = NumBuffer::default();
        buffer.extend(values);
        buffer
    }

    fn nums(values: &[i64], of_event: &[u32], fds: &[FdRecord]) -> usize {
        let (mut bytes, mut back) = (Vec::new(), Vec::new());
        let before = Before {
            of_event,
            fds,
            fd_nums: None,
        };
        write_nums(&buffer(values), false, before, &mut bytes);
        let rows: Vec<u32> = (0..values.len() as u32).collect();
        let lookup = FdLookup {
            strings: &Strings::default(),
            fds,
        };
        for of_event in [OfEvents::Each(of_event), OfEvents::Rows(&rows, of_event, &[])] {
            let mut cursor = Cursor::new(&bytes);
            back.clear();
            assert_eq!(lookup.read_nums(&mut cursor, rows.len(), of_event, &mut back), Ok(()));
            assert_eq!(cursor.finish(), Ok(()));
            assert_eq!(back, values);
        }
        bytes.len()
    }

    #[test]
    fn a_callers_form_is_the_same_wherever_it_lies() {
        let name = b"/a/b";
        for name_raw in [&b""[..], b"/a/b", b"b", b"../b"] {
            let mut strings = Interner::default();
            let known = match name_raw {
                [] => RawPath::Same,
                raw => raw_path(&mut strings, name, raw),
            };
            let object = Named { name, name_raw, known };
            let elsewhere = name_raw.to_vec();
            let of_both = [name_raw, &elsewhere].map(|raw| object.raw_path(&mut strings, raw));
            assert_eq!(of_both[0], of_both[1]);
            assert_eq!(object.raw_path(&mut strings, name), RawPath::Same);
        }
    }

    #[test]
    fn what_the_open_object_says_costs_one_byte() {
        let fds = [fd(0), fd(500), fd(u64::MAX)];
        assert_eq!(nums(&[500, ABSENT, -1], &[1, 0, 2], &fds), 1);
        assert_eq!(nums(&[501, ABSENT, 501], &[1, 0, 1], &fds), 1);
        let failed = [fd(0), fd(500), fd(0), fd(u64::MAX)];
        assert_eq!(nums(&[500, ABSENT, ABSENT, -1], &[1, 0, 2, 3], &failed), 1);
        assert_eq!(nums(&[500, ABSENT, 0, -1], &[1, 0, 2, 3], &failed), 1);
        assert!(nums(&[500, 0, ABSENT, 0], &[1, 2, 2, 2], &failed) > 1);
        assert!(nums(&[500, 500, -1], &[1, 0, 2], &fds) > 1);
        assert!(nums(&[500, ABSENT, 500], &[1, 1, 1], &fds) > 1);
    }

    #[test]
    fn descriptor_numbers_among_arguments_cost_one_byte() {
        let values = [3, ABSENT, 4, i64::from(i32::MIN), 7];
        let numbers = buffer(&values);
        let before = Before {
            of_event: &[0; 5],
            fds: &[fd(0)],
            fd_nums: Some(&numbers),
        };
        let mut bytes = Vec::new();
        write_nums(&numbers, false, before, &mut bytes);
        assert_eq!(bytes.len(), 1);
        write_nums(&buffer(&[3, ABSENT, 4, 9, 7]), false, before, &mut bytes);
        assert!(bytes.len() > 5);

        let lookup = FdLookup {
            strings: &Strings::default(),
            fds: &[],
        };
        let read = |of_event, n| {
            let mut back = Vec::new();
            let read = lookup.read_nums(&mut Cursor::new(&bytes), n, of_event, &mut back);
            read.map(|()| back)
        };
        assert_eq!(
            read(OfEvents::Rows(&[0, 1, 2, 3, 4], &[], &values), 5),
            Ok(values.to_vec())
        );
        assert_eq!(read(OfEvents::Rows(&[9, 0], &[], &values), 2), Ok(vec![ABSENT, 3]));
        assert_eq!(read(OfEvents::Rows(&[0], &[], &values), 2), Err(Malformed::Counts));
        assert_eq!(read(OfEvents::Each(&[0; 5]), 5), Err(Malformed::UnknownMode));
    }

    #[test]
    fn descriptor_numbers_relative_to_results_are_exact() {
        let nums = [3, ABSENT, 4, i64::from(i32::MIN), 7];
        for rets in [
            [3, -2, 4, 9, ABSENT],
            [3, -2, i64::MAX, i64::MIN + 1, 0],
            [i64::MIN + 3 + 1; 5],
        ] {
            for ret_is_fd in [false, true] {
                let (mut bytes, mut scratch, mut back) = (Vec::new(), Vec::new(), [0; 5]);
                write_fd_nums(&buffer(&nums), &buffer(&rets), ret_is_fd, &mut scratch, &mut bytes);
                let read = read_fd_nums(&mut Cursor::new(&bytes), &[0, 1, 2, 3, 4], &rets, &mut back);
                assert_eq!(read, Ok(()));
                assert_eq!(back, nums);
            }
        }
    }
}
