//! Arguments, results and descriptor numbers: columns per event type, one type after the other.

use super::decoded::{ABSENT, FdRecord, RawPath, StrId, Strings};
use super::numbers;
use super::strings::{Interner, Numbering, Refs, StrRef, raw_path, read_raw, write_raw};
use super::varint::{Cursor, Malformed, put};
use crate::event::Arg;
use crate::schema::{Param, ParamKind};

/// The values of one parameter while a block is built; strings by provisional id.
#[derive(Debug)]
pub(super) enum ArgBuffer {
    Num { delta: bool, values: Vec<i64> },
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

/// Whether an argument may stand for a parameter.
pub(super) fn fits(param: &Param, arg: &Arg<'_>) -> bool {
    match arg {
        Arg::None => true,
        Arg::Num(_) => param.kind.is_num(),
        Arg::Str(_) => matches!(param.kind, ParamKind::Str | ParamKind::SockAddr),
        Arg::Path { .. } => param.kind == ParamKind::Path,
    }
}

/// What an argument may cost in a block at most.
pub(super) fn weight(arg: &Arg<'_>) -> usize {
    match arg {
        Arg::None => 2,
        Arg::Num(_) => 11,
        Arg::Str(s) => s.len() + 16,
        Arg::Path { resolved, raw } => resolved.len() + raw.len() + 32,
    }
}

impl ArgBuffer {
    pub(super) fn new(param: &Param) -> ArgBuffer {
        match param.kind {
            ParamKind::Path => ArgBuffer::Path(Vec::new()),
            ParamKind::Str | ParamKind::SockAddr => ArgBuffer::Str(Vec::new()),
            kind => ArgBuffer::Num {
                delta: kind.is_delta(),
                values: Vec::new(),
            },
        }
    }

    /// Adds a value that [`fits`]. `fd_name` is the name of the event's open object.
    #[inline]
    pub(super) fn push(&mut self, arg: &Arg<'_>, fd_name: &[u8], strings: &mut Interner) {
        match self {
            ArgBuffer::Num { values, .. } => values.push(match arg {
                Arg::Num(v) => *v,
                _ => ABSENT,
            }),
            ArgBuffer::Str(values) => values.push(match arg {
                Arg::Str(s) => strings.id(s),
                _ => StrId::NONE,
            }),
            ArgBuffer::Path(values) => values.push(match arg {
                Arg::Path { resolved, raw } if !resolved.is_empty() && *resolved == fd_name => {
                    PathValue::OfFd(raw_path(strings, resolved, raw))
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
                        self.interner.get(record.name),
                        self.numbering,
                    );
                    record.name
                }
                PathValue::Own(id, raw) => {
                    self.write_own(id, last, paths);
                    write_raw(raws, raw, RawPath::Same, self.interner.get(id), self.numbering);
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

/// What the reading of paths is relative to.
pub(super) struct PathReader<'a> {
    pub(super) strings: &'a Strings,
    pub(super) fds: &'a [FdRecord],
    /// Per event of the block: its open object.
    pub(super) fd: &'a [u32],
}

impl PathReader<'_> {
    /// Reads a column of paths, one for each of `rows`.
    pub(super) fn read(
        &self,
        paths: &mut Cursor<'_>,
        raws: &mut Cursor<'_>,
        refs: &mut Refs,
        rows: &[u32],
        out: &mut Vec<(StrId, RawPath)>,
    ) -> Result<(), Malformed> {
        match paths.byte()? {
            ALL_NONE => {
                out.resize(rows.len(), (StrId::NONE, RawPath::Same));
                return Ok(());
            }
            CODES => (),
            _ => return Err(Malformed::UnknownMode),
        }
        let mut last = StrId::NONE;
        for row in rows {
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
                    let record = self.fd_of(*row).ok_or(Malformed::UnknownId)?;
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

    fn fd_of(&self, row: u32) -> Option<&FdRecord> {
        self.fds.get(*self.fd.get(row as usize)? as usize)
    }
}

/// How a type's descriptor numbers are coded.
const ABSOLUTE: u8 = 0;
const RELATIVE_TO_RESULT: u8 = 1;

/// Appends the descriptor numbers of one event type. `ret_is_fd` says that the result usually is that number.
pub(super) fn write_fd_nums(nums: &[i64], rets: &[i64], ret_is_fd: bool, scratch: &mut Vec<i64>, out: &mut Vec<u8>) {
    scratch.clear();
    if ret_is_fd {
        scratch.extend(nums.iter().zip(rets).map(|(num, ret)| relative(*num, *ret)));
    }
    // A difference that looks like "absent" would be lost.
    let lossless = scratch
        .iter()
        .zip(nums)
        .all(|(step, num)| (*step == ABSENT) == (*num == ABSENT));
    if ret_is_fd && lossless {
        out.push(RELATIVE_TO_RESULT);
        numbers::write(out, scratch, false);
    } else {
        out.push(ABSOLUTE);
        numbers::write(out, nums, false);
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
    let mut rows = rows.iter();
    numbers::read(cursor, rows.len(), |v| {
        let Some(row) = rows.next() else { return };
        let Some(slot) = out.get_mut(*row as usize) else { return };
        let ret = rets.get(*row as usize).copied().unwrap_or(ABSENT);
        *slot = if relative && v != ABSENT && ret != ABSENT {
            v.wrapping_add(ret)
        } else {
            v
        };
    })
}

/// Reads the results of the events `rows` into `out`.
pub(super) fn read_rets(cursor: &mut Cursor<'_>, rows: &[u32], out: &mut [i64]) -> Result<(), Malformed> {
    let mut rows = rows.iter();
    numbers::read(cursor, rows.len(), |v| {
        if let Some(slot) = rows.next().and_then(|row| out.get_mut(*row as usize)) {
            *slot = v;
        }
    })
}
