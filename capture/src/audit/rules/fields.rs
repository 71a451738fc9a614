//! What a rule can compare: fields, operators, comparisons, lists and actions, with auditctl's names and the kernel's
//! numbers (`linux/audit.h`).

/// How the value of a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number, decimal or hexadecimal, possibly negative.
    Number,
    /// A user's number or name, or `unset`.
    User,
    /// A group's number or name.
    Group,
    /// Kept as text.
    Text,
    /// `b64`, `b32` or a machine's name.
    Arch,
    /// A number or a negative errno by name.
    Exit,
    /// A record type.
    RecordType,
    /// `r`, `w`, `x`, `a`.
    Perm,
    /// `file`, `dir`, …
    FileType,
    /// `tracefs` or `debugfs`.
    FsType,
}

/// Fields, sorted by number. Where a number has two names the first is the one that is shown.
pub(super) const FIELDS: &[(&str, u32, Kind)] = &[
    ("pid", 0, Kind::Number),
    ("uid", 1, Kind::User),
    ("euid", 2, Kind::User),
    ("suid", 3, Kind::User),
    ("fsuid", 4, Kind::User),
    ("gid", 5, Kind::Group),
    ("egid", 6, Kind::Group),
    ("sgid", 7, Kind::Group),
    ("fsgid", 8, Kind::Group),
    ("auid", 9, Kind::User),
    ("loginuid", 9, Kind::User),
    ("pers", 10, Kind::Number),
    ("arch", ARCH, Kind::Arch),
    ("msgtype", 12, Kind::RecordType),
    ("subj_user", 13, Kind::Text),
    ("subj_role", 14, Kind::Text),
    ("subj_type", 15, Kind::Text),
    ("subj_sen", 16, Kind::Text),
    ("subj_clr", 17, Kind::Text),
    ("ppid", 18, Kind::Number),
    ("obj_user", 19, Kind::Text),
    ("obj_role", 20, Kind::Text),
    ("obj_type", 21, Kind::Text),
    ("obj_lev_low", 22, Kind::Text),
    ("obj_lev_high", 23, Kind::Text),
    ("sessionid", 25, Kind::Number),
    ("fstype", 26, Kind::FsType),
    ("devmajor", 100, Kind::Number),
    ("devminor", 101, Kind::Number),
    ("inode", 102, Kind::Number),
    ("exit", 103, Kind::Exit),
    ("success", 104, Kind::Number),
    ("path", PATH, Kind::Text),
    ("perm", PERM, Kind::Perm),
    ("dir", DIR, Kind::Text),
    ("filetype", 108, Kind::FileType),
    ("obj_uid", 109, Kind::User),
    ("obj_gid", 110, Kind::Group),
    ("exe", 112, Kind::Text),
    ("saddr_fam", 113, Kind::Number),
    ("a0", 200, Kind::Number),
    ("a1", 201, Kind::Number),
    ("a2", 202, Kind::Number),
    ("a3", 203, Kind::Number),
    ("key", KEY, Kind::Text),
];

pub(super) const ARCH: u32 = 11;
pub(super) const PATH: u32 = 105;
pub(super) const PERM: u32 = 106;
pub(super) const DIR: u32 = 107;
pub(super) const COMPARE: u32 = 111;
pub(super) const KEY: u32 = 210;

/// Operators; of two with a common beginning the longer first.
pub(super) const OPERATORS: &[(&str, u32)] = &[
    ("!=", NOT_EQUAL),
    ("<=", 0x5000_0000),
    (">=", 0x6000_0000),
    ("&=", 0x4800_0000),
    ("=", EQUAL),
    ("<", 0x1000_0000),
    (">", 0x2000_0000),
    ("&", 0x0800_0000),
];
pub(super) const EQUAL: u32 = 0x4000_0000;
pub(super) const NOT_EQUAL: u32 = 0x3000_0000;

/// Pairs that `-C` compares; either may stand first.
pub(super) const COMPARISONS: &[(&str, &str, u32)] = &[
    ("uid", "obj_uid", 1),
    ("gid", "obj_gid", 2),
    ("euid", "obj_uid", 3),
    ("egid", "obj_gid", 4),
    ("auid", "obj_uid", 5),
    ("suid", "obj_uid", 6),
    ("sgid", "obj_gid", 7),
    ("fsuid", "obj_uid", 8),
    ("fsgid", "obj_gid", 9),
    ("uid", "auid", 10),
    ("uid", "euid", 11),
    ("uid", "fsuid", 12),
    ("uid", "suid", 13),
    ("auid", "fsuid", 14),
    ("auid", "suid", 15),
    ("auid", "euid", 16),
    ("euid", "suid", 17),
    ("euid", "fsuid", 18),
    ("suid", "fsuid", 19),
    ("gid", "egid", 20),
    ("gid", "fsgid", 21),
    ("gid", "sgid", 22),
    ("egid", "fsgid", 23),
    ("egid", "sgid", 24),
    ("sgid", "fsgid", 25),
];

/// Lists of rules.
pub(super) const LISTS: &[(&str, u32)] = &[
    ("user", 0),
    ("task", TASK),
    ("exit", EXIT),
    ("exclude", 5),
    ("filesystem", 6),
];
pub(super) const TASK: u32 = 1;
pub(super) const EXIT: u32 = 4;
/// Added to a list: the rule goes to its beginning.
pub(super) const PREPEND: u32 = 0x10;

/// What a rule does.
pub(super) const ACTIONS: &[(&str, u32)] = &[("never", 0), ("always", ALWAYS)];
pub(super) const ALWAYS: u32 = 2;

/// Letters of `perm`, in the order in which they are shown.
pub(super) const PERMS: &[(char, u32)] = &[('r', 4), ('w', 2), ('x', 1), ('a', 8)];

/// Values of `filetype` (`S_IFMT`).
pub(super) const FILE_TYPES: &[(&str, u32)] = &[
    ("file", 0o100_000),
    ("dir", 0o040_000),
    ("socket", 0o140_000),
    ("link", 0o120_000),
    ("character", 0o020_000),
    ("block", 0o060_000),
    ("fifo", 0o010_000),
];

/// Values of `fstype` (`linux/magic.h`).
pub(super) const FS_TYPES: &[(&str, u32)] = &[("debugfs", 0x6462_6720), ("tracefs", 0x7472_6163)];

/// Values of `arch` (`AUDIT_ARCH_…`).
pub(super) const ARCHES: &[(&str, u32)] = &[
    ("b64", 0xC000_003E),
    ("b32", 0x4000_0003),
    ("x86_64", 0xC000_003E),
    ("i386", 0x4000_0003),
    ("i486", 0x4000_0003),
    ("i586", 0x4000_0003),
    ("i686", 0x4000_0003),
];
pub(super) const ARCH_64: u32 = 0xC000_003E;

/// The number of a name.
pub(super) fn number(table: &[(&str, u32)], name: &str) -> Option<u32> {
    table.iter().find(|(n, _)| *n == name).map(|(_, number)| *number)
}

/// The first name of a number.
pub(super) fn name<'a>(table: &[(&'a str, u32)], number: u32) -> Option<&'a str> {
    table.iter().find(|(_, n)| *n == number).map(|(name, _)| *name)
}
