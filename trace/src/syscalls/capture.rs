//! What the kernel program has to read through a syscall's pointers. Derived from the declared rows; the capture crate
//! turns it into the form that its kernel program understands.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{Payload, Pointer, Syscall, i386, row, table};
use crate::event::EventType;
use crate::schema::ParamKind;

/// One read through a pointer. `slot` is the position among the declared parameters, `arg` the argument register (0 – 5)
/// that holds the pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// A NUL-terminated string.
    Text {
        /// Parameter that receives it.
        slot: u8,
        /// Pointer.
        arg: u8,
    },
    /// A NUL-terminated string, but only when another argument has a certain value.
    TextIf {
        /// Parameter that receives it.
        slot: u8,
        /// Pointer.
        arg: u8,
        /// The argument that decides.
        when: u8,
        /// The value it must have.
        is: u64,
    },
    /// A NUL-terminated path, relative to a directory.
    Path {
        /// Parameter that receives it.
        slot: u8,
        /// Pointer.
        arg: u8,
        /// The argument that holds the directory's descriptor; `None` where only the working directory counts.
        dirfd: Option<u8>,
    },
    /// A `struct sockaddr`.
    Address {
        /// Parameter that receives it.
        slot: u8,
        /// Pointer.
        arg: u8,
        /// Its length.
        len: Length,
    },
    /// The address (`msg_name`, `msg_namelen`) in a `struct msghdr` of the caller's word size.
    MessageAddress {
        /// Parameter that receives it.
        slot: u8,
        /// Pointer to the `struct msghdr`.
        arg: u8,
    },
    /// The same of each message in an array of `struct mmsghdr`, of which the first ones are read.
    MessageAddresses {
        /// Parameter that receives that of the first one; those of the others go to the next one.
        slot: u8,
        /// Pointer to the array.
        arg: u8,
    },
    /// Two `int` that the kernel wrote.
    Pair {
        /// Parameters that receive them.
        slots: [u8; 2],
        /// Pointer.
        arg: u8,
    },
    /// `flags`, `mode` and `resolve` of a `struct open_how` (`linux/openat2.h`): three 64-bit words.
    OpenHow {
        /// Parameters that receive them.
        slots: [u8; 3],
        /// Pointer.
        arg: u8,
    },
    /// `flags` of a `struct clone_args` (`linux/sched.h`): its first 64-bit word.
    CloneArgs {
        /// Parameter that receives it.
        slot: u8,
        /// Pointer.
        arg: u8,
    },
    /// `flags` of a `struct io_uring_params` (`linux/io_uring.h`): its third 32-bit word.
    RingParams {
        /// Parameter that receives it.
        slot: u8,
        /// Pointer.
        arg: u8,
    },
    /// Bytes for [`crate::event::Event::data`], when the recording keeps them.
    Data {
        /// Pointer to the bytes.
        arg: u8,
        /// How many there are.
        len: Length,
    },
    /// Bytes for [`crate::event::Event::data`] in an array of `struct iovec` of the caller's word size; at most as many as
    /// the result says.
    DataVector {
        /// Pointer to the array.
        arg: u8,
        /// The argument that holds the number of entries.
        count: u8,
    },
    /// Bytes for [`crate::event::Event::data`] in the vector of a `struct msghdr` of the caller's word size.
    DataMessage {
        /// Pointer to the `struct msghdr`.
        arg: u8,
    },
}

/// Where a length stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// In this argument.
    Arg(u8),
    /// As an `int` behind the pointer in this argument.
    Pointer(u8),
    /// The result is the length.
    Ret,
}

/// What has to be read for an event type; empty where the registers say all.
pub fn captures(kind: EventType) -> &'static [Capture] {
    static ALL: LazyLock<BTreeMap<u16, Vec<Capture>>> = LazyLock::new(|| {
        let native = table().iter().map(|s| EventType(s.nr));
        let compat = i386::names().map(|(nr, _)| EventType::compat_syscall(u32::from(nr)));
        native
            .chain(compat)
            .filter_map(|kind| Some((kind.0, of(row(kind)?))))
            .collect()
    });
    ALL.get(&kind.0).map_or(&[], Vec::as_slice)
}

fn of(row: &Syscall) -> Vec<Capture> {
    let mut reads = Vec::new();
    for (slot, param) in (0_u8..).zip(row.params) {
        reads.extend(match (param.kind, param.arg) {
            (ParamKind::Path, Some(arg)) => Some(Capture::Path {
                slot,
                arg,
                dirfd: dirfd(row, arg),
            }),
            (ParamKind::Str, Some(arg)) => Some(match row.pointer {
                Pointer::TextIf(when, is) => Capture::TextIf { slot, arg, when, is },
                _ => Capture::Text { slot, arg },
            }),
            (ParamKind::SockAddr, arg) => address(row, slot, arg),
            _ => None,
        });
    }
    reads.extend(structure(row));
    reads.extend(payload(row));
    reads
}

/// The directory of a path stands just before it. A plain `fd` there (`inotify_add_watch`) is something else.
fn dirfd(row: &Syscall, path: u8) -> Option<u8> {
    let before = path.checked_sub(1)?;
    let dir = row.params.iter().find(|p| p.arg == Some(before))?;
    (dir.kind == ParamKind::Fd && dir.name != "fd").then_some(before)
}

fn address(row: &Syscall, slot: u8, arg: Option<u8>) -> Option<Capture> {
    match (row.pointer, arg) {
        (Pointer::AddrLen(len), Some(arg)) => Some(Capture::Address {
            slot,
            arg,
            len: Length::Arg(len),
        }),
        (Pointer::AddrLenPtr(len), Some(arg)) => Some(Capture::Address {
            slot,
            arg,
            len: Length::Pointer(len),
        }),
        (Pointer::Message(arg), _) => Some(Capture::MessageAddress { slot, arg }),
        (Pointer::Messages(arg), _) => Some(Capture::MessageAddresses { slot, arg }),
        _ => None,
    }
}

fn structure(row: &Syscall) -> Option<Capture> {
    let slot = |name: &str| {
        let at = row.params.iter().position(|p| p.name == name)?;
        u8::try_from(at).ok()
    };
    match row.pointer {
        Pointer::Pair(arg) => Some(Capture::Pair {
            slots: [slot("fd1")?, slot("fd2")?],
            arg,
        }),
        Pointer::OpenHow(arg) => Some(Capture::OpenHow {
            slots: [slot("flags")?, slot("mode")?, slot("resolve")?],
            arg,
        }),
        Pointer::CloneArgs(arg) => Some(Capture::CloneArgs {
            slot: slot("flags")?,
            arg,
        }),
        Pointer::RingParams(arg) => Some(Capture::RingParams {
            slot: slot("flags")?,
            arg,
        }),
        _ => None,
    }
}

fn payload(row: &Syscall) -> Option<Capture> {
    match (row.payload, row.pointer) {
        (Payload::Out(arg, len), _) => Some(Capture::Data {
            arg,
            len: Length::Arg(len),
        }),
        (Payload::In(arg), _) => Some(Capture::Data { arg, len: Length::Ret }),
        (Payload::Vector(arg, count), _) => Some(Capture::DataVector { arg, count }),
        (Payload::Nothing, Pointer::Message(arg) | Pointer::Messages(arg)) => Some(Capture::DataMessage { arg }),
        (Payload::Nothing, _) => None,
    }
}
