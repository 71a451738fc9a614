//! Open objects as a dictionary of a block, and which event uses which.
//!
//! Objects first used by an event of the hot family come first, so that hot columns need no bulk ones. In the bulk
//! family a reference is predicted by what the thread last did with the same descriptor number.

use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::decoded::{ABSENT, FdRecord, RawPath, StrId};
use super::strings::{Interner, Numbering, Refs, StrRef, raw_path, read_raw, write_raw};
use super::varint::{Cursor, Malformed, put, unzigzag, zigzag};
use crate::fd::{FdEntry, FdKind, Role, Socket};

/// The entry that stands for "none".
const NONE: FdRecord = FdRecord {
    kind: FdKind::Unknown,
    name: StrId::NONE,
    name_raw: RawPath::Same,
    open_flags: 0,
    dev: 0,
    ino: 0,
    socket: None,
};

/// Slots of the cache from id to index.
const CACHE: usize = 256;

/// The open objects of a block under construction: by [`FdEntry::id`], and once per content.
#[derive(Debug)]
pub(super) struct FdTable {
    hasher: DefaultHashBuilder,
    index: HashMap<u64, u32>,
    /// Ids seen lately. Looking up an event's object is the hottest thing that `push` does.
    cache: [(u64, u32); CACHE],
    contents: HashTable<u32>,
    entries: Vec<FdRecord>,
}

impl Default for FdTable {
    fn default() -> FdTable {
        FdTable {
            hasher: DefaultHashBuilder::default(),
            index: HashMap::default(),
            cache: [(0, 0); CACHE],
            contents: HashTable::new(),
            entries: vec![NONE],
        }
    }
}

impl FdTable {
    /// The index of an object that is there already.
    #[inline]
    pub(super) fn find(&mut self, id: u64) -> Option<u32> {
        let slot = &mut self.cache[id as usize % CACHE];
        if slot.0 == id && slot.1 != 0 {
            return Some(slot.1);
        }
        let at = *self.index.get(&id)?;
        *slot = (id, at);
        Some(at)
    }

    /// Adds an object that is not there yet.
    pub(super) fn add(&mut self, fd: &FdEntry, strings: &mut Interner) -> u32 {
        let raw = if fd.name_raw.is_empty() { &fd.name } else { &fd.name_raw };
        let record = FdRecord {
            kind: fd.kind,
            name: strings.known(&fd.name),
            name_raw: raw_path(strings, &fd.name, raw),
            open_flags: fd.open_flags,
            dev: fd.dev,
            ino: fd.ino,
            socket: fd.socket,
        };
        let at = self.content(record);
        self.index.insert(fd.id, at);
        self.cache[fd.id as usize % CACHE] = (fd.id, at);
        at
    }

    fn content(&mut self, record: FdRecord) -> u32 {
        let FdTable {
            hasher,
            contents,
            entries,
            ..
        } = self;
        let hash = content_hash(hasher, &record);
        if let Some(at) = contents.find(hash, |at| entries[*at as usize] == record) {
            return *at;
        }
        let at = entries.len() as u32;
        entries.push(record);
        contents.insert_unique(hash, at, |at| content_hash(hasher, &entries[*at as usize]));
        at
    }

    /// All entries; the first stands for "none".
    pub(super) fn entries(&self) -> &[FdRecord] {
        &self.entries
    }

    pub(super) fn clear(&mut self) {
        self.index.clear();
        self.cache = [(0, 0); CACHE];
        self.contents.clear();
        self.entries.truncate(1);
    }
}

fn content_hash(hasher: &DefaultHashBuilder, fd: &FdRecord) -> u64 {
    hasher.hash_one((fd.name.0, fd.ino, fd.open_flags, fd.socket))
}

/// Gives open objects their final indices in the order in which columns use them.
#[derive(Debug, Default)]
pub(super) struct FdNumbering {
    /// Final index by provisional one; 0 where there is none yet.
    indices: Vec<u32>,
    /// Provisional indices in final order.
    order: Vec<u32>,
    section: usize,
}

impl FdNumbering {
    /// Begins a block of `fds` provisional entries, "none" included.
    pub(super) fn start(&mut self, fds: usize) {
        self.indices.clear();
        self.indices.resize(fds, 0);
        self.order.clear();
        self.section = 0;
    }

    /// The final index, and whether this is the object's first use.
    #[inline]
    fn refer(&mut self, provisional: u32) -> (u32, bool) {
        let slot = &mut self.indices[provisional as usize];
        if *slot != 0 || provisional == 0 {
            return (*slot, false);
        }
        self.order.push(provisional);
        *slot = self.order.len() as u32;
        (*slot, true)
    }

    /// The provisional indices that were first used since the last call.
    pub(super) fn take_section(&mut self) -> &[u32] {
        let section = &self.order[self.section..];
        self.section = self.order.len();
        section
    }
}

/// Codes of a reference within one event type of the hot family.
mod hot_code {
    pub(super) const NONE: u64 = 0;
    pub(super) const NEW: u64 = 1;
    pub(super) const SAME: u64 = 2;
    /// Index (from 1) + this.
    pub(super) const KNOWN: u64 = 2;
}

/// A type's byte in the references: no event has one, or codes follow.
const ALL_NONE: u8 = 0;
const CODES: u8 = 1;

/// Appends a type's byte.
pub(super) fn write_presence(present: bool, out: &mut Vec<u8>) {
    out.push(if present { CODES } else { ALL_NONE });
}

/// Reads a type's byte.
pub(super) fn read_presence(cursor: &mut Cursor<'_>) -> Result<bool, Malformed> {
    match cursor.byte()? {
        ALL_NONE => Ok(false),
        CODES => Ok(true),
        _ => Err(Malformed::UnknownMode),
    }
}

/// Whether any of an event type's references is one.
pub(super) fn any(fds: &[u32]) -> bool {
    fds.iter().any(|fd| *fd != 0)
}

/// Appends the references of one event type of the hot family, of which at least one is there.
pub(super) fn write_hot_refs(fds: &[u32], numbering: &mut FdNumbering, out: &mut Vec<u8>) {
    let mut last = 0;
    for fd in fds {
        match numbering.refer(*fd) {
            (0, _) => put(out, hot_code::NONE),
            (_, true) => put(out, hot_code::NEW),
            (at, false) if at == last => put(out, hot_code::SAME),
            (at, false) => put(out, u64::from(at) + hot_code::KNOWN),
        }
        last = numbering.indices[*fd as usize];
    }
}

/// Resolves references while columns are read: what is next and where the family's entries end.
#[derive(Clone, Copy, Debug)]
pub(super) struct FdRefs {
    next: u32,
    end: u32,
}

impl FdRefs {
    /// The family's entries are `first .. first + count`.
    pub(super) fn new(first: u32, count: u32) -> FdRefs {
        FdRefs {
            next: first,
            end: first + count,
        }
    }

    fn fresh(&mut self) -> Result<u32, Malformed> {
        let at = self.next;
        if at >= self.end {
            return Err(Malformed::Counts);
        }
        self.next += 1;
        Ok(at)
    }

    fn known(&self, at: u64) -> Result<u32, Malformed> {
        if at < u64::from(self.next) {
            Ok(at as u32)
        } else {
            Err(Malformed::UnknownId)
        }
    }

    /// Checks that all entries of the family were used.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        if self.next == self.end {
            Ok(())
        } else {
            Err(Malformed::Counts)
        }
    }
}

/// Reads the references of the events `rows`, all of one type of the hot family, into `out`.
pub(super) fn read_hot_refs(
    cursor: &mut Cursor<'_>,
    refs: &mut FdRefs,
    rows: &[u32],
    out: &mut [u32],
) -> Result<(), Malformed> {
    let mut last = 0;
    for row in rows {
        last = match cursor.get()? {
            hot_code::NONE => 0,
            hot_code::NEW => refs.fresh()?,
            hot_code::SAME => last,
            at => refs.known(at - hot_code::KNOWN)?,
        };
        if let Some(slot) = out.get_mut(*row as usize) {
            *slot = last;
        }
    }
    Ok(())
}

/// Codes of a reference of the bulk family.
mod bulk_code {
    pub(super) const PREDICTED: u64 = 0;
    pub(super) const NEW: u64 = 1;
    pub(super) const NONE: u64 = 2;
    /// Index (from 1) + this.
    pub(super) const KNOWN: u64 = 2;
}

/// How many descriptor numbers are told apart per thread; events without a number have a slot of their own.
const NUMBERS: usize = 16;
const SLOTS: usize = NUMBERS + 1;

/// What each thread last did with each descriptor number, modulo [`NUMBERS`].
#[derive(Debug, Default)]
pub(super) struct FdPrediction {
    slots: Vec<u32>,
}

impl FdPrediction {
    /// Begins a block of so many threads.
    pub(super) fn start(&mut self, contexts: usize) {
        self.slots.clear();
        self.slots.resize(contexts * SLOTS, 0);
    }

    /// Where an event's prediction is kept.
    #[inline]
    pub(super) fn slot(&mut self, context: u32, fd_num: i64) -> Option<&mut u32> {
        let number = if fd_num == ABSENT {
            NUMBERS
        } else {
            fd_num as usize % NUMBERS
        };
        self.slots.get_mut(context as usize * SLOTS + number)
    }
}

/// Appends the reference of one event of the bulk family, given its slot of the prediction.
#[inline]
pub(super) fn write_bulk_ref(slot: &mut u32, fd: u32, numbering: &mut FdNumbering, out: &mut Vec<u8>) {
    let (at, new) = numbering.refer(fd);
    if new {
        put(out, bulk_code::NEW);
    } else if at == *slot {
        put(out, bulk_code::PREDICTED);
    } else if at == 0 {
        put(out, bulk_code::NONE);
    } else {
        put(out, u64::from(at) + bulk_code::KNOWN);
    }
    *slot = at;
}

/// Lets an event of the hot family, whose reference is known already, tell the prediction.
#[inline]
pub(super) fn observe(slot: &mut u32, fd: u32, numbering: &FdNumbering) {
    *slot = numbering.indices[fd as usize];
}

/// Reads the reference of one event of the bulk family.
#[inline]
pub(super) fn read_bulk_ref(cursor: &mut Cursor<'_>, refs: &mut FdRefs, slot: &mut u32) -> Result<u32, Malformed> {
    match cursor.get()? {
        bulk_code::PREDICTED => (),
        bulk_code::NEW => *slot = refs.fresh()?,
        bulk_code::NONE => *slot = 0,
        at => *slot = refs.known(at - bulk_code::KNOWN)?,
    }
    Ok(*slot)
}

/// Codes of an object's name.
mod name_code {
    pub(super) const NONE: u64 = 0;
    pub(super) const NEW: u64 = 1;
    pub(super) const KNOWN: u64 = 2;
}

/// Appends the entries `section` of `fds`, field by field.
pub(super) fn write(
    fds: &[FdRecord],
    section: &[u32],
    interner: &Interner,
    numbering: &mut Numbering,
    out: &mut Vec<u8>,
) {
    let each = || section.iter().map(|at| &fds[*at as usize]);
    out.extend(each().map(|fd| fd.kind as u8));
    for fd in each() {
        match fd.name {
            StrId::NONE => put(out, name_code::NONE),
            name => match numbering.refer(name) {
                StrRef::New => put(out, name_code::NEW),
                StrRef::Known(id) => put(out, u64::from(id) + name_code::KNOWN),
            },
        }
    }
    each().for_each(|fd| write_raw(out, fd.name_raw, RawPath::Same, interner.get(fd.name), numbering));
    each().for_each(|fd| put(out, u64::from(fd.open_flags)));
    write_steps(out, each().map(|fd| fd.dev));
    write_steps(out, each().map(|fd| fd.ino));
    for fd in each() {
        match &fd.socket {
            None => out.push(0),
            Some(socket) => write_socket(out, socket),
        }
    }
}

/// How many values before it a value may be coded against.
const CANDIDATES: usize = 4;
/// Stands before a value that is far from all candidates.
const FAR: u64 = u64::MAX;

/// Appends numbers as differences to the nearest of the last four: files that a program opens lie near each other, and
/// several programs run at the same time. `zigzag(difference) · 4 + which`, or [`FAR`] and the value.
fn write_steps(out: &mut Vec<u8>, values: impl Iterator<Item = u64>) {
    let mut recent = [0u64; CANDIDATES];
    for v in values {
        let steps = recent.iter().map(|r| zigzag(v.wrapping_sub(*r) as i64));
        let (which, step) = steps.enumerate().min_by_key(|(_, step)| *step).unwrap_or((0, FAR));
        if step < 1 << 61 {
            put(out, step << 2 | which as u64);
            renew(&mut recent, which, v);
        } else {
            put(out, FAR);
            put(out, v);
            renew(&mut recent, CANDIDATES - 1, v);
        }
    }
}

/// Puts a value first; the candidate it was coded against makes room.
fn renew(recent: &mut [u64; CANDIDATES], which: usize, v: u64) {
    recent.copy_within(0..which, 1);
    recent[0] = v;
}

/// Reads one value.
fn read_step(cursor: &mut Cursor<'_>, recent: &mut [u64; CANDIDATES]) -> Result<u64, Malformed> {
    let (which, v) = match cursor.get()? {
        FAR => (CANDIDATES - 1, cursor.get()?),
        code => {
            let which = (code & 3) as usize;
            (which, recent[which].wrapping_add(unzigzag(code >> 2) as u64))
        }
    };
    renew(recent, which, v);
    Ok(v)
}

/// Starts over with the entry that stands for "none".
pub(super) fn reset(fds: &mut Vec<FdRecord>) {
    fds.clear();
    fds.push(NONE);
}

/// Reads `count` entries of a family, whose names are among `strings`.
pub(super) fn read(
    cursor: &mut Cursor<'_>,
    count: u32,
    refs: &mut Refs,
    strings: &super::decoded::Strings,
    out: &mut Vec<FdRecord>,
) -> Result<(), Malformed> {
    let kinds = cursor.take(count as usize)?;
    let start = out.len();
    out.extend(kinds.iter().map(|kind| FdRecord {
        kind: FdKind::from_u8(*kind),
        ..NONE
    }));
    let new = out.get_mut(start..).unwrap_or_default();
    for fd in new.iter_mut() {
        fd.name = match cursor.get()? {
            name_code::NONE => StrId::NONE,
            name_code::NEW => refs.fresh()?,
            id => refs.known(id - name_code::KNOWN)?,
        };
    }
    for fd in new.iter_mut() {
        fd.name_raw = read_raw(cursor, refs, RawPath::Same, || strings.get(fd.name))?;
    }
    for fd in new.iter_mut() {
        fd.open_flags = cursor.get_u32()?;
    }
    let mut recent = [0; CANDIDATES];
    for fd in new.iter_mut() {
        fd.dev = read_step(cursor, &mut recent)?;
    }
    let mut recent = [0; CANDIDATES];
    for fd in new.iter_mut() {
        fd.ino = read_step(cursor, &mut recent)?;
    }
    for fd in new.iter_mut() {
        fd.socket = read_socket(cursor)?;
    }
    cursor.finish()
}

/// First byte of a socket: which ends are IPv6, and the role; 0 is "no socket".
mod socket_bit {
    pub(super) const PRESENT: u8 = 1;
    pub(super) const LOCAL_V6: u8 = 2;
    pub(super) const REMOTE_V6: u8 = 4;
    pub(super) const CLIENT: u8 = 8;
    pub(super) const SERVER: u8 = 16;
    pub(super) const ALL: u8 = 31;
}

fn write_socket(out: &mut Vec<u8>, socket: &Socket) {
    let role = match socket.role {
        Role::Unknown => 0,
        Role::Client => socket_bit::CLIENT,
        Role::Server => socket_bit::SERVER,
    };
    let local = if socket.local.is_ipv6() {
        socket_bit::LOCAL_V6
    } else {
        0
    };
    let remote = if socket.remote.is_ipv6() {
        socket_bit::REMOTE_V6
    } else {
        0
    };
    out.push(socket_bit::PRESENT | role | local | remote);
    out.push(socket.protocol);
    write_address(out, &socket.local);
    write_address(out, &socket.remote);
}

fn write_address(out: &mut Vec<u8>, address: &SocketAddr) {
    match address {
        SocketAddr::V4(a) => out.extend_from_slice(&a.ip().octets()),
        SocketAddr::V6(a) => {
            out.extend_from_slice(&a.ip().octets());
            put(out, u64::from(a.flowinfo()));
            put(out, u64::from(a.scope_id()));
        }
    }
    out.extend_from_slice(&address.port().to_le_bytes());
}

fn read_socket(cursor: &mut Cursor<'_>) -> Result<Option<Socket>, Malformed> {
    let bits = cursor.byte()?;
    if bits == 0 {
        return Ok(None);
    }
    if bits & socket_bit::PRESENT == 0 || bits & !socket_bit::ALL != 0 {
        return Err(Malformed::UnknownMode);
    }
    let role = match (bits & socket_bit::CLIENT != 0, bits & socket_bit::SERVER != 0) {
        (false, false) => Role::Unknown,
        (true, false) => Role::Client,
        (false, true) => Role::Server,
        (true, true) => return Err(Malformed::UnknownMode),
    };
    Ok(Some(Socket {
        protocol: cursor.byte()?,
        role,
        local: read_address(cursor, bits & socket_bit::LOCAL_V6 != 0)?,
        remote: read_address(cursor, bits & socket_bit::REMOTE_V6 != 0)?,
    }))
}

fn read_address(cursor: &mut Cursor<'_>, v6: bool) -> Result<SocketAddr, Malformed> {
    if !v6 {
        let ip = Ipv4Addr::from(cursor.array::<4>()?);
        return Ok(SocketAddr::new(IpAddr::V4(ip), u16::from_le_bytes(cursor.array()?)));
    }
    let ip = Ipv6Addr::from(cursor.array::<16>()?);
    let (flow, scope) = (cursor.get_u32()?, cursor.get_u32()?);
    let port = u16::from_le_bytes(cursor.array()?);
    Ok(SocketAddr::V6(SocketAddrV6::new(ip, port, flow, scope)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_and_far_numbers_come_back() {
        let values = [
            0,
            5,
            u64::MAX,
            1 << 62,
            6,
            1 << 63,
            7,
            (1 << 62) + 1,
            3 << 61,
            8,
            0,
            1 << 62,
            u64::MAX / 3,
        ];
        let mut bytes = Vec::new();
        write_steps(&mut bytes, values.into_iter());
        let (mut cursor, mut recent) = (Cursor::new(&bytes), [0; CANDIDATES]);
        for v in values {
            assert_eq!(read_step(&mut cursor, &mut recent), Ok(v));
        }
        assert_eq!(cursor.finish(), Ok(()));
    }

    #[test]
    fn sockets_come_back() {
        let v4 = SocketAddr::from(([1, 2, 3, 4], 5));
        let v6 = SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 65_535, 9, u32::MAX));
        for (local, remote, role) in [(v4, v6, Role::Client), (v6, v4, Role::Server), (v6, v6, Role::Unknown)] {
            let socket = Socket {
                protocol: 17,
                role,
                local,
                remote,
            };
            let mut bytes = Vec::new();
            write_socket(&mut bytes, &socket);
            assert_eq!(read_socket(&mut Cursor::new(&bytes)), Ok(Some(socket)));
        }
        assert_eq!(read_socket(&mut Cursor::new(&[0])), Ok(None));
        assert_eq!(read_socket(&mut Cursor::new(&[25, 0])), Err(Malformed::UnknownMode));
        assert_eq!(read_socket(&mut Cursor::new(&[2, 0])), Err(Malformed::UnknownMode));
    }
}
