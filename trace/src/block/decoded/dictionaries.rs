//! What the events of a block refer to: process images, open objects and contexts.

use std::net::{IpAddr, SocketAddr};

use super::{StrId, Strings};
use crate::container::Container;
use crate::fd::{FdKind, Socket};
use crate::process::Namespaces;

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
    pub(crate) fn write_name(&self, out: &mut Vec<u8>) {
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
