//! A block in memory: dictionaries and columns after decoding, and the views through which everything reads them.
//!
//! The codec fills these structures; catalogue, rules and SQL only look at them through the views. Ids have been
//! checked by the decoder: an id in a decoded block is always valid in that block.

use std::net::{IpAddr, SocketAddr};

use super::Need;
use crate::container::Container;
use crate::event::{Arg, EventType};
use crate::fd::{FdKind, Socket};
use crate::process::Namespaces;
use crate::schema::EventSpec;

/// "No value" in decoded number columns.
pub const ABSENT: i64 = i64::MIN;

/// Id of a string of the block's dictionary. [`StrId::NONE`] is "no string", [`StrId::EMPTY`] the empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StrId(pub u32);

impl StrId {
    /// No string.
    pub const NONE: StrId = StrId(0);
    /// The empty string.
    pub const EMPTY: StrId = StrId(1);
}

/// The strings of a block, in id order.
#[derive(Clone, Default)]
pub struct Strings {
    /// Longer than what is used.
    pub(crate) bytes: Vec<u8>,
    pub(crate) used: usize,
    /// Per string: where it begins and ends.
    pub(crate) spans: Vec<(u32, u32)>,
    pub(crate) cuts: Vec<Cut>,
}

/// How a string is cut behind its last slash: for a path, into folder and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Length of what stands before the cut; 0 where there is no slash.
    pub at: u32,
    /// A string that begins with the same folder and is cut at the same place: itself, or an earlier one. Strings in one
    /// folder need not name the same one.
    pub like: StrId,
}

/// The strings, whatever lies behind them in memory that is used again.
impl std::fmt::Debug for Strings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids = (0..self.len() as u32).map(StrId);
        f.debug_list().entries(ids.map(|id| self.get(id))).finish()
    }
}

impl Strings {
    /// How many ids there are, the two fixed ones included.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether nothing was decoded yet.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The bytes of a string; empty for [`StrId::NONE`], and for ids of string sections that were not asked for.
    #[inline]
    pub fn get(&self, id: StrId) -> &[u8] {
        let Some(&(start, end)) = self.spans.get(id.0 as usize) else {
            return &[];
        };
        self.bytes.get(start as usize..end as usize).unwrap_or(&[])
    }

    /// How a string is cut behind its last slash.
    #[inline]
    pub fn cut(&self, id: StrId) -> Cut {
        let none = Cut {
            at: 0,
            like: StrId::NONE,
        };
        self.cuts.get(id.0 as usize).copied().unwrap_or(none)
    }

    /// The string, or `None` for [`StrId::NONE`].
    pub fn opt(&self, id: StrId) -> Option<&[u8]> {
        (id != StrId::NONE).then(|| self.get(id))
    }
}

/// A process image as a dictionary entry; see [`crate::process::ProcessImage`] for the meaning of each field.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the same fields as ProcessImage, strings by id")]
pub struct ImageEntry {
    pub pid: u32,
    pub ppid: u32,
    pub vpid: u32,
    pub sid: u32,
    pub pgid: u32,
    pub tty: u32,
    pub start_ts: u64,
    pub exec_ts: u64,
    pub name: StrId,
    pub exe_path: StrId,
    pub argv: StrId,
    pub env: StrId,
    pub cwd: StrId,
    pub cgroup: StrId,
    pub uid: u32,
    pub euid: u32,
    pub gid: u32,
    pub egid: u32,
    pub loginuid: u32,
    pub user: StrId,
    pub group: StrId,
    pub login_user: StrId,
    pub cap_permitted: u64,
    pub cap_effective: u64,
    pub cap_inheritable: u64,
    pub exe_ino: u64,
    pub exe_ctime: u64,
    pub exe_mtime: u64,
    pub exe_flags: u8,
    pub namespaces: Namespaces,
    /// Index into [`Dictionaries::containers`].
    pub container: Option<u32>,
    /// Index into [`Dictionaries::images`], always smaller than the entry's own.
    pub parent: Option<u32>,
}

/// An open object as a dictionary entry; see [`crate::fd::FdEntry`].
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the same fields as FdEntry, strings by id")]
pub struct FdRecord {
    pub kind: FdKind,
    pub name: StrId,
    pub name_raw: RawPath,
    pub open_flags: u32,
    pub dev: u64,
    pub ino: u64,
    pub socket: Option<Box<Socket>>,
}

/// A path as the caller wrote it, relative to its resolved form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawPath {
    /// The same bytes.
    Same,
    /// The last bytes of the resolved path, this many.
    Suffix(u32),
    /// Another string.
    Other(StrId),
}

/// Who acted: a thread of a process image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Thread id; 0 when unknown.
    pub tid: u32,
    /// Index into [`Dictionaries::images`]; `None` where no process is known.
    pub image: Option<u32>,
}

/// All that the events of a block refer to.
#[derive(Clone, Debug, Default)]
pub struct Dictionaries {
    /// Strings, the sections that were asked for.
    pub strings: Strings,
    /// Process images, parents before children.
    pub images: Vec<ImageEntry>,
    /// Containers.
    pub containers: Vec<Container>,
    /// Open objects; entry 0 stands for "none" and is never looked at.
    pub fds: Vec<FdRecord>,
    /// Threads.
    pub contexts: Vec<Context>,
}

impl Dictionaries {
    /// A view of a process image.
    pub fn image(&self, index: u32) -> Option<ImageView<'_>> {
        self.images.get(index as usize).map(|entry| ImageView {
            dict: self,
            index,
            entry,
        })
    }

    /// A view of an open object; `None` for entry 0.
    pub fn fd(&self, index: u32) -> Option<FdView<'_>> {
        if index == 0 {
            return None;
        }
        self.fds.get(index as usize).map(|entry| FdView { dict: self, entry })
    }

    /// The caller's form of a path.
    pub fn raw_path<'a>(&'a self, resolved: &'a [u8], raw: RawPath) -> &'a [u8] {
        match raw {
            RawPath::Same => resolved,
            RawPath::Suffix(n) => &resolved[resolved.len().saturating_sub(n as usize)..],
            RawPath::Other(id) => self.strings.get(id),
        }
    }
}

/// A process image with the block it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct ImageView<'a> {
    /// The block's dictionaries.
    pub dict: &'a Dictionaries,
    /// The entry's index.
    pub index: u32,
    /// The entry.
    pub entry: &'a ImageEntry,
}

impl<'a> ImageView<'a> {
    /// The bytes of one of the entry's strings.
    pub fn str(&self, id: StrId) -> &'a [u8] {
        self.dict.strings.get(id)
    }

    /// The parent's image, where it is known.
    pub fn parent(&self) -> Option<ImageView<'a>> {
        self.dict.image(self.entry.parent?)
    }

    /// The ancestor `n` steps up; 0 is the image itself.
    pub fn ancestor(&self, n: usize) -> Option<ImageView<'a>> {
        let mut at = *self;
        for _ in 0..n {
            at = at.parent()?;
        }
        Some(at)
    }

    /// The ancestors from the parent upwards. Ends, because parents have smaller indices.
    pub fn ancestors(&self) -> impl Iterator<Item = ImageView<'a>> + use<'a> {
        std::iter::successors(self.parent(), |p| p.parent())
    }

    /// The container, where it runs in one.
    pub fn container(&self) -> Option<&'a Container> {
        self.dict.containers.get(self.entry.container? as usize)
    }

    /// The arguments, `argv[0]` first.
    pub fn args(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let argv = self.str(self.entry.argv);
        let argv = argv.strip_suffix(b"\0").unwrap_or(argv);
        let empty = argv.is_empty();
        argv.split(|b| *b == 0).filter(move |_| !empty)
    }
}

/// An open object with the block it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct FdView<'a> {
    /// The block's dictionaries.
    pub dict: &'a Dictionaries,
    /// The entry.
    pub entry: &'a FdRecord,
}

impl<'a> FdView<'a> {
    /// Path, address path or object name; empty for internet sockets.
    pub fn path(&self) -> &'a [u8] {
        self.dict.strings.get(self.entry.name)
    }

    /// The path as the opener wrote it.
    pub fn path_raw(&self) -> &'a [u8] {
        self.dict.raw_path(self.path(), self.entry.name_raw)
    }

    /// Falco's `fd.name`: the path, or the tuple `client->server` of an internet socket.
    pub fn name(&self) -> std::borrow::Cow<'a, [u8]> {
        if self.entry.socket.is_none() {
            return self.path().into();
        }
        let mut out = Vec::new();
        self.write_name(&mut out);
        out.into()
    }

    /// Appends what [`FdView::name`] gives.
    pub fn write_name(&self, out: &mut Vec<u8>) {
        match &self.entry.socket {
            Some(s) if s.is_connected() => {
                write_address(s.client(), out);
                out.extend_from_slice(b"->");
                write_address(s.server(), out);
            }
            Some(s) => write_address(s.local, out),
            None => out.extend_from_slice(self.path()),
        }
    }
}

/// Appends an address as Falco prints it: `1.2.3.4:80`, `::1:80`.
fn write_address(address: SocketAddr, out: &mut Vec<u8>) {
    let mut number = itoa::Buffer::new();
    match address.ip() {
        IpAddr::V4(ip) => {
            for (at, octet) in ip.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(number.format(octet).as_bytes());
            }
        }
        IpAddr::V6(ip) => out.extend_from_slice(ip.to_string().as_bytes()),
    }
    out.push(b':');
    out.extend_from_slice(number.format(address.port()).as_bytes());
}

/// The values of one parameter of one event type, in the order of the events of that type.
#[derive(Clone, Debug)]
pub enum ArgColumn {
    /// Numbers; [`ABSENT`] for none.
    Num(Vec<i64>),
    /// Strings.
    Str(Vec<StrId>),
    /// Paths.
    Path(Vec<(StrId, RawPath)>),
}

/// One event type of a block with its parameters.
#[derive(Clone, Debug)]
pub struct KindColumns {
    /// What the type carries.
    pub spec: std::sync::Arc<EventSpec>,
    /// How many events of this type the block has.
    pub events: u32,
    /// The rows of this type, ascending.
    pub rows: Vec<u32>,
    /// Types of the hot family: the open object of each event, an index into [`Dictionaries::fds`], 0 for none. Empty
    /// where no event has one.
    pub fds: Vec<u32>,
    /// One per parameter; empty when arguments of this family were not asked for.
    pub args: Vec<ArgColumn>,
}

/// The decoded columns of a block. A column that was not asked for is empty.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// Which columns there are.
    pub(crate) have: Need,
    /// Name of the host that the events are of; empty where the block belongs to no segment.
    pub host: String,
    /// How many events there are.
    pub len: usize,
    /// Number of the first event in the recording; events of a block are numbered consecutively.
    pub first_seq: u64,
    /// Dictionaries.
    pub dict: Dictionaries,
    /// The event types present. Types of the hot family come first.
    pub kinds: Vec<KindColumns>,
    /// Per event: index into `kinds`.
    pub kind: Vec<u16>,
    /// Per event: position among the events of its type; there where arguments are.
    pub ordinal: Vec<u32>,
    /// Per thread: where its events end if they are taken thread by thread.
    pub(crate) thread_ends: Vec<u32>,
    /// Event types thread by thread; empty where there are more than a byte can tell apart.
    pub(crate) thread_kinds: Vec<u8>,
    /// Per event: UTC nanoseconds.
    pub ts: Vec<u64>,
    /// Per event: CPU.
    pub cpu: Vec<u16>,
    /// Per event: index into `dict.contexts`.
    pub context: Vec<u32>,
    /// Per event: result; [`ABSENT`] for none.
    pub ret: Vec<i64>,
    /// Per event: descriptor number; [`ABSENT`] for none.
    pub fd_num: Vec<i64>,
    /// Per event: index into `dict.fds`; 0 for none.
    pub fd: Vec<u32>,
    /// Per event: captured bytes, end offsets into `data_bytes`.
    pub data_ends: Vec<u32>,
    /// Captured bytes of all events.
    pub data_bytes: Vec<u8>,
    /// Where events were imported from.
    pub origins: Origins,
    /// Per event: nanoseconds that the call took, [`ABSENT`] where that is not known; empty where it is of none.
    pub latency: Vec<i64>,
}

/// Where the events of a block were imported from; all empty where none was imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Names of files.
    pub(crate) names: Vec<Vec<u8>>,
    /// Per event: index into `names` and 1; 0 for none.
    pub(crate) file: Vec<u32>,
    /// Per event: offset.
    pub(crate) offset: Vec<u64>,
    /// Per event: line; empty where no file has lines.
    pub(crate) line: Vec<u64>,
}

impl Origins {
    /// Whether no event was imported, or none was asked for.
    pub fn is_empty(&self) -> bool {
        self.file.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.names.clear();
        self.file.clear();
        self.offset.clear();
        self.line.clear();
    }
}

impl Decoded {
    /// A view of one event. `row` must be below `len`.
    pub fn event(&self, row: usize) -> EventView<'_> {
        debug_assert!(row < self.len);
        EventView { block: self, row }
    }

    /// A view of an event of the hot family by its type and its position among the events of that type, both indices.
    /// With [`Need::ARG_COLUMNS_HOT`] it shows its arguments and what its type says; all else of it is as if it had not been
    /// asked for.
    pub fn event_of_type(&self, kind: u16, ordinal: u32) -> EventView<'_> {
        EventView {
            block: self,
            row: BY_TYPE | usize::from(kind) << 32 | ordinal as usize,
        }
    }

    /// Whether a thread may have events of a type, given as indices into `dict.contexts` and `kinds`. Certain where
    /// [`Need::THREAD_KINDS`] was asked for and the block has no more than 256 types.
    pub fn thread_has(&self, context: usize, kind: usize) -> bool {
        let start = match context.checked_sub(1) {
            Some(before) => self.thread_ends.get(before).copied(),
            None => Some(0),
        };
        let (Some(start), Some(end)) = (start, self.thread_ends.get(context)) else {
            return true;
        };
        match (self.thread_kinds.get(start as usize..*end as usize), u8::try_from(kind)) {
            (Some(kinds), Ok(kind)) => kinds.contains(&kind),
            _ => true,
        }
    }

    /// How many events each thread has, by index into `dict.contexts`.
    pub fn events_of_threads(&self) -> impl Iterator<Item = u32> + '_ {
        let starts = std::iter::once(0).chain(self.thread_ends.iter().copied());
        let ends = self.thread_ends.iter();
        ends.zip(starts).map(|(end, start)| end.saturating_sub(start))
    }

    /// Views of all events, in order.
    pub fn events(&self) -> impl Iterator<Item = EventView<'_>> {
        (0..self.len).map(|row| self.event(row))
    }
}

/// Where an event was imported from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginView<'a> {
    /// The file, as its `imported` event names it.
    pub file: &'a [u8],
    /// Offset in what the file decompresses to.
    pub offset: u64,
    /// Line, from 1; 0 where the format has none.
    pub line: u64,
}

/// One event with the block it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    /// The block.
    pub block: &'a Decoded,
    /// Its row.
    pub row: usize,
}

/// Stands in a row that is none, but an event type, and a position among the events of that type.
const BY_TYPE: usize = 1 << 63;

/// The type and position that stand in a row.
#[cold]
fn by_type(row: usize) -> Option<(usize, u32)> {
    (row & BY_TYPE != 0).then_some(((row & !BY_TYPE) >> 32, row as u32))
}

fn present(v: Option<&i64>) -> Option<i64> {
    v.copied().filter(|v| *v != ABSENT)
}

impl<'a> EventView<'a> {
    /// Number of the event in the recording. `evt.num`.
    pub fn seq(&self) -> u64 {
        self.block.first_seq.wrapping_add(self.row as u64)
    }

    /// UTC nanoseconds; 0 when the column was not asked for.
    pub fn ts(&self) -> u64 {
        self.block.ts.get(self.row).copied().unwrap_or(0)
    }

    /// CPU.
    pub fn cpu(&self) -> u16 {
        self.block.cpu.get(self.row).copied().unwrap_or(0)
    }

    /// The columns of the event's type; `None` when types were not asked for.
    pub fn kind_columns(&self) -> Option<&'a KindColumns> {
        let kind = match self.block.kind.get(self.row) {
            Some(kind) => usize::from(*kind),
            None => by_type(self.row)?.0,
        };
        self.block.kinds.get(kind)
    }

    /// What the event's type carries.
    pub fn spec(&self) -> Option<&'a EventSpec> {
        Some(&self.kind_columns()?.spec)
    }

    /// The event's type.
    pub fn kind(&self) -> Option<EventType> {
        Some(self.spec()?.id)
    }

    /// Who acted.
    pub fn context(&self) -> Option<Context> {
        self.block
            .dict
            .contexts
            .get(*self.block.context.get(self.row)? as usize)
            .copied()
    }

    /// The process image that acted.
    pub fn image(&self) -> Option<ImageView<'a>> {
        self.block.dict.image(self.context()?.image?)
    }

    /// The result.
    pub fn ret(&self) -> Option<i64> {
        present(self.block.ret.get(self.row))
    }

    /// How long the call took, in nanoseconds, where its beginning was recorded too.
    pub fn latency(&self) -> Option<u64> {
        u64::try_from(present(self.block.latency.get(self.row))?).ok()
    }

    /// The descriptor's number.
    pub fn fd_num(&self) -> Option<i64> {
        present(self.block.fd_num.get(self.row))
    }

    /// The object behind the descriptor.
    pub fn fd(&self) -> Option<FdView<'a>> {
        self.block.dict.fd(*self.block.fd.get(self.row)?)
    }

    /// The value of the type's parameter number `slot`.
    pub fn arg(&self, slot: usize) -> Arg<'a> {
        let ordinal = self.block.ordinal.get(self.row).copied();
        let ordinal = ordinal.or_else(|| Some(by_type(self.row)?.1));
        let (Some(kind), Some(at)) = (self.kind_columns(), ordinal) else {
            return Arg::None;
        };
        let strings = &self.block.dict.strings;
        match kind.args.get(slot) {
            Some(ArgColumn::Num(v)) => present(v.get(at as usize)).map_or(Arg::None, Arg::Num),
            Some(ArgColumn::Str(v)) => v
                .get(at as usize)
                .and_then(|id| strings.opt(*id))
                .map_or(Arg::None, Arg::Str),
            Some(ArgColumn::Path(v)) => match v.get(at as usize) {
                Some((id, raw)) if *id != StrId::NONE || !matches!(raw, RawPath::Same) => {
                    let resolved = strings.get(*id);
                    Arg::Path {
                        resolved,
                        raw: self.block.dict.raw_path(resolved, *raw),
                    }
                }
                _ => Arg::None,
            },
            None => Arg::None,
        }
    }

    /// The value of the parameter of that name.
    pub fn arg_named(&self, name: &str) -> Arg<'a> {
        self.spec()
            .and_then(|s| s.param(name))
            .map_or(Arg::None, |slot| self.arg(slot))
    }

    /// Where it was imported from, where it was.
    pub fn origin(&self) -> Option<OriginView<'a>> {
        let origins = &self.block.origins;
        let file = (*origins.file.get(self.row)? as usize).checked_sub(1)?;
        Some(OriginView {
            file: origins.names.get(file)?,
            offset: origins.offset.get(self.row).copied().unwrap_or(0),
            line: origins.line.get(self.row).copied().unwrap_or(0),
        })
    }

    /// Captured buffer bytes.
    pub fn data(&self) -> &'a [u8] {
        let end = self.block.data_ends.get(self.row).copied().unwrap_or(0) as usize;
        let start = match self.row.checked_sub(1) {
            Some(r) => self.block.data_ends.get(r).copied().unwrap_or(0) as usize,
            None => 0,
        };
        self.block.data_bytes.get(start..end).unwrap_or(&[])
    }
}
