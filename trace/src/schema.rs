//! What each event type carries: its name, source, family and parameters. Declared once, stored in every segment, so
//! that a reader needs no syscall table and an old file stays readable when the table grows.

use std::sync::{Arc, LazyLock};

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::event::{EventType, Source};

/// How the descriptor of an event is found among a syscall's arguments and result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FdUse {
    /// The event is about no descriptor.
    None,
    /// The descriptor is this argument (0 – 5).
    Arg(u8),
    /// The result is a new descriptor.
    Ret,
}

/// How a parameter is stored and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ParamKind {
    /// Signed number.
    Int,
    /// Unsigned number.
    Uint,
    /// Bit flags whose names are in [`NameSet`].
    Flags(NameSet),
    /// One of the values named in [`NameSet`].
    Enum(NameSet),
    /// File mode bits, shown in octal.
    Mode,
    /// Descriptor number (`AT_FDCWD` included).
    Fd,
    /// Process or thread id.
    Pid,
    /// User id.
    Uid,
    /// Group id.
    Gid,
    /// Signal number.
    Signal,
    /// Address; stored as the difference to the previous one of the same type. Shown in hexadecimal.
    Addr,
    /// Size or count in bytes.
    Size,
    /// Text or bytes.
    Str,
    /// A path: absolute and as the caller wrote it.
    Path,
    /// A socket address as text (`127.0.0.1:80`, `[::1]:80`, `/run/x.sock`).
    SockAddr,
}

impl ParamKind {
    /// Whether values are numbers.
    pub const fn is_num(self) -> bool {
        !matches!(self, ParamKind::Str | ParamKind::Path | ParamKind::SockAddr)
    }

    /// Whether a file stores the difference to the previous value of the same event type and parameter.
    pub(crate) const fn is_delta(self) -> bool {
        matches!(self, ParamKind::Addr)
    }
}

macro_rules! name_sets {
    ($($name:ident)+) => {
        /// A set of names for flag bits or values; the tables are in [`crate::names`]. Files have its position: new ones come
        /// last.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "each is the kernel's set of that name")]
        pub enum NameSet {
            $($name,)+
            /// One that only a newer ctrace has: its values are shown as numbers.
            Unknown,
        }

        impl NameSet {
            /// All that this version has, by position.
            const KNOWN: &[NameSet] = &[$(NameSet::$name),+];
        }
    };
}

name_sets! {
    Open At Access MmapProt MmapFlags Clone SocketFamily SocketType MsgFlags Fcntl Whence Mount Umount Ptrace Prctl
    BpfCmd Futex EpollOp Signal Resource Seccomp Keyctl Memfd Dup3 Shutdown SockLevel Rename Unshare GapClass AccessAt
    CloseRange EpollCreate Eventfd Flock FsConfig GetRandom IpcFlags Madvise MlockAll ModeBits ModuleInit Resolve
    RingEnter RingOp RingSetup SemCmd SockOption Splice Wait Xattr UserFault RingRequest RingRequestFlags
    FallocateMode FanotifyInit FanotifyMark FanotifyMask FsMount FsOpen FsPick Futex2 LandlockCreate LandlockRestrict
    LandlockRule ListMount Membarrier MembarrierFlags MemoryPolicy MemoryPolicyGet MemoryPolicyMove Mlock2 MountAttr
    MoveMount Msync OpenTree QuotaCmd ReadWrite Reboot RebootMagic SeccompFlags StatMount SwapOn SyncFileRange Fadvise
    InotifyMask KexecFile KexecLoad MessageQueue Mremap PerfEvent PidfdSignal ShmAttach SignalMask AcceptFlags
    ArchPrctl Clock HandleAt IoPriority IoPriorityWho Itimer Kcmp Keyring LsmAttr LsmFlags MsgCmd Personality
    PidfdOpen PkeyRights PriorityWho Rseq Rusage SchedPolicy ShadowStack ShmCmd StatxMask Syslog TimerFlags
    TimerfdFlags WaitId
}

impl Encode for NameSet {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let position = match self {
            // No version will have as many.
            NameSet::Unknown => u32::MAX,
            known => *known as u32,
        };
        position.encode(encoder)
    }
}

impl<C> Decode<C> for NameSet {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let position = u32::decode(decoder)?;
        let known = usize::try_from(position).ok().and_then(|at| NameSet::KNOWN.get(at));
        Ok(known.copied().unwrap_or(NameSet::Unknown))
    }
}

bincode::impl_borrow_decode!(NameSet);

/// One parameter of an event type.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Param {
    /// Falco's name of the parameter (`evt.arg.NAME`).
    pub name: String,
    /// How it is stored and shown.
    pub kind: ParamKind,
    /// The syscall argument (0 – 5) it is taken from; `None` where it comes from elsewhere.
    pub arg: Option<u8>,
}

/// What one event type carries.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct EventSpec {
    /// Its number.
    pub id: EventType,
    /// Falco's name of it (`evt.type`).
    pub name: String,
    /// Where it comes from.
    pub source: Source,
    /// Whether rules and analysts usually look at it: decides in which column family it is stored.
    pub hot: bool,
    /// Which descriptor it is about.
    pub fd: FdUse,
    /// Whether it has a result.
    pub has_ret: bool,
    /// What it carries, in storage order.
    pub params: Vec<Param>,
}

impl EventSpec {
    /// Whether events of this type may refer to a descriptor.
    pub fn has_fd(&self) -> bool {
        self.fd != FdUse::None
    }

    /// Whether the result is a descriptor.
    pub fn ret_is_fd(&self) -> bool {
        self.fd == FdUse::Ret
    }

    /// The position of a parameter by name.
    pub fn param(&self, name: &str) -> Option<usize> {
        self.params.iter().position(|p| p.name == name)
    }
}

/// Every event type that a segment may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    specs: Vec<EventSpec>,
    index: Vec<u16>,
}

/// Event type numbers are below this (see [`EventType`]).
const ID_LIMIT: usize = 0x3000;
const NO_SPEC: u16 = u16::MAX;

impl Schema {
    /// Builds the look-up over declared event types; of two with the same number the first counts, numbers out of
    /// range are left out (a file is not trusted).
    pub fn new(specs: Vec<EventSpec>) -> Schema {
        let mut index = vec![NO_SPEC; ID_LIMIT];
        for (i, spec) in specs.iter().enumerate().take(NO_SPEC as usize) {
            if let Some(slot) = index.get_mut(spec.id.0 as usize)
                && *slot == NO_SPEC
            {
                *slot = i as u16;
            }
        }
        Schema { specs, index }
    }

    /// The event types that this version of ctrace records.
    pub fn current() -> Arc<Schema> {
        static CURRENT: LazyLock<Arc<Schema>> = LazyLock::new(|| Arc::new(Schema::new(crate::events::declared())));
        CURRENT.clone()
    }

    /// What an event type carries.
    pub fn get(&self, id: EventType) -> Option<&EventSpec> {
        let i = *self.index.get(id.0 as usize)?;
        self.specs.get(i as usize)
    }

    /// All event types in declaration order.
    pub fn specs(&self) -> &[EventSpec] {
        &self.specs
    }

    /// The event types of a name (an x86_64 and an i386 syscall may share one).
    pub fn by_name<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a EventSpec> + 'a {
        self.specs.iter().filter(move |s| s.name == name)
    }
}
