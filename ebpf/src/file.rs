//! File objects: who they are and where they hang in the mount tree.

use ctrace_wire::{
    offsets::MISSING,
    record::{SHARED_FILES, SHARED_FS},
    section::{
        self, ARG_DETACHED, FILE_DELETED, FILE_OVERLAY, FILE_PSEUDO, FILE_UNHASHED, FILE_UPPER, FILE_UPPER_UNKNOWN,
        File, OPEN_FDS_MAX, PATH_DEPTH_MAX, PATH_MAX, TABLE_SHARED,
    },
};

use crate::{
    read::{self, Beginning, PointerAt, Typed, embedded, member, offset, or_zeros, pointer},
    scratch::{Node, Writer},
};

// include/uapi/linux/stat.h
pub const S_IFMT: u16 = 0o170000;
const S_IFIFO: u16 = 0o010000;
// include/uapi/linux/magic.h
const OVERLAYFS_SUPER_MAGIC: u32 = 0x794c_7630;
// Enough for what is asked of a file object, its inode and its super block, and of the nodes of a path; each is larger than
// that on every kernel. A member that lies behind is read apart.
const FILE_READ: usize = 96;
const INODE_READ: usize = 144;
const SB_READ: usize = 104;
const NODE_READ: usize = size_of::<Node>();
// include/linux/path.h: two pointers.
const PATH_READ: usize = 16;
// A path component has at most 255 bytes (NAME_MAX).
const COMPONENT_MAX: u32 = 256;

/// The file object behind a descriptor of a task; 0 when there is none.
#[inline(always)]
pub fn behind_fd(task: Typed, fd: u64) -> usize {
    let table = task.follow(offset!(task_files)).follow(offset!(files_fdt));
    let max: u32 = table.load(offset!(fdtable_max_fds));
    // Descriptors are ints: the upper half of the register means nothing.
    let fd = fd as u32;
    if fd >= max {
        return 0;
    }
    let files: usize = table.load(offset!(fdtable_fd));
    if files == 0 {
        0
    } else {
        read::kernel(files + fd as usize * 8)
    }
}

/// Whether the file objects of descriptors can be had on this host.
#[inline(always)]
pub fn are_known() -> bool {
    offset!(task_files) != MISSING
        && offset!(files_fdt) != MISSING
        && offset!(fdtable_max_fds) != MISSING
        && offset!(fdtable_fd) != MISSING
}

/// Appends which descriptors a task has open.
#[inline(always)]
pub fn all_open(writer: Writer, task: usize) {
    let files = pointer!(task, task_files);
    let table = pointer!(files, files_fdt);
    let open = pointer!(table, fdtable_open);
    let max: u32 = member!(table, fdtable_max_fds, 0);
    if open == 0 {
        return;
    }
    let arg = if has_other_users(files, offset!(files_count)) {
        TABLE_SHARED
    } else {
        0
    };
    writer.bytes::<{ OPEN_FDS_MAX as u32 }>(section::OPEN_FDS, arg, open as u64, u64::from(max / 8), false);
}

/// What a task has in common with others: `SHARED_*` bits.
#[inline(always)]
pub fn shared(task: usize) -> u32 {
    let mut shared = 0;
    if has_other_users(pointer!(task, task_fs), offset!(fs_users)) {
        shared |= SHARED_FS;
    }
    if has_other_users(pointer!(task, task_files), offset!(files_count)) {
        shared |= SHARED_FILES;
    }
    shared
}

/// Whether others use the table of descriptors of the current task too.
#[inline(always)]
pub fn is_own_table_shared(task: Typed) -> bool {
    task.follow(offset!(task_files)).load::<i32>(offset!(files_count)) > 1
}

/// Whether a structure with a count of those that use it has several.
#[inline(always)]
fn has_other_users(structure: usize, count: u32) -> bool {
    read::at(structure, count, 1i32) > 1
}

/// Whether two file objects are of one pipe.
#[inline(always)]
pub fn is_pipe([one, other]: [usize; 2]) -> bool {
    let inode = inode(one);
    mode(inode) & S_IFMT == S_IFIFO && pointer!(other, file_inode) == inode
}

/// Type and permissions.
#[inline(always)]
pub fn mode(inode: usize) -> u16 {
    member!(inode, inode_mode, 0)
}

pub fn inode(file: usize) -> usize {
    pointer!(file, file_inode)
}

/// Appends identity and path of a file object.
#[inline(always)]
pub fn describe(writer: Writer, file: usize) {
    identity(writer, file);
    path(writer, embedded(file, offset!(file_path)), section::FILE_PATH);
}

/// Appends the identity of a file object.
#[inline(never)]
pub fn identity(writer: Writer, file: usize) {
    let [dentry_room, _] = writer.nodes();
    // SAFETY: the writer gives room for one File, and for what is read behind it; the other room is map memory of its size.
    writer.structure::<File>(section::FILE, |to| unsafe {
        let room = to.add(1).cast();
        let file = Beginning::<FILE_READ>::read(file, room);
        let path = offset!(file_path);
        let inode: usize = file.member(offset!(file_inode), 0);
        let dentry: usize = file.member(path.saturating_add(offset!(path_dentry)), 0);
        let mount: usize = file.member(path.saturating_add(offset!(path_mnt)), 0);
        let dentry = Beginning::<NODE_READ>::read(dentry, dentry_room);
        let inode = Beginning::<INODE_READ>::read(inode, room);
        let nlink: u32 = inode.member(offset!(inode_nlink), u32::MAX);
        (*to).ino = inode.member(offset!(inode_ino), u64::MAX);
        (*to).ctime_s = inode.member(offset!(inode_ctime_s), -1i64);
        (*to).mtime_s = inode.member(offset!(inode_mtime_s), -1i64);
        (*to).ctime_ns = inode.member(offset!(inode_ctime_ns), u32::MAX);
        (*to).mtime_ns = inode.member(offset!(inode_mtime_ns), u32::MAX);
        (*to).mode = u32::from(inode.member(offset!(inode_mode), 0u16));
        (*to).nlink = nlink;
        (*to).uid = inode.member(offset!(inode_uid), u32::MAX);
        let sb: usize = inode.member(offset!(inode_sb), 0);
        let sb = Beginning::<SB_READ>::read(sb, room);
        let magic: u32 = sb.member(offset!(sb_magic), u32::MAX);
        let mut flags = name_flags(dentry, mount) | overlay_flags(inode.address(), magic);
        if nlink == 0 {
            flags |= FILE_DELETED;
        }
        (*to).dev = sb.member(offset!(sb_dev), u32::MAX);
        (*to).flags = flags;
        (*to).fs_magic = magic;
    });
}

#[inline(always)]
fn name_flags(dentry: Beginning<NODE_READ>, mount: usize) -> u32 {
    let is_root = dentry.member(offset!(dentry_parent), 0usize) == dentry.address();
    if is_root {
        return if pointer!(mount, vfsmount_root) == dentry.address() {
            0
        } else {
            FILE_PSEUDO
        };
    }
    if dentry.member(offset!(dentry_hash_pprev), 1usize) == 0 {
        FILE_UNHASHED
    } else {
        0
    }
}

#[inline(always)]
fn overlay_flags(inode: usize, magic: u32) -> u32 {
    if magic != OVERLAYFS_SUPER_MAGIC {
        return 0;
    }
    // fs/overlayfs/ovl_entry.h: in struct ovl_inode the pointer to the upper dentry follows the embedded inode.
    let size = offset!(inode_size);
    if size == MISSING {
        return FILE_OVERLAY | FILE_UPPER_UNKNOWN;
    }
    let upper: usize = read::kernel(inode + size as usize);
    if upper != 0 {
        FILE_OVERLAY | FILE_UPPER
    } else {
        FILE_OVERLAY
    }
}

/// Whether a mount without one above it is at no place that a name leads to: it is not the root of a mount namespace.
///
/// Its members are asked for here, since mostly a path has no more than one such mount.
#[inline(always)]
fn is_detached(mount: usize) -> bool {
    // fs/mount.h: MNT_NS_INTERNAL, an error pointer, is the namespace of mounts that the kernel keeps for itself.
    const LAST_POINTER: usize = usize::MAX - 4096;
    // include/uapi/linux/nsfs.h: MNT_NS_ANON_INO; namespaces of detached trees had no number before 6.18.
    const ANONYMOUS: u32 = 0xEFFF_FFF7;
    let ns: usize = member!(mount, mount_ns, usize::MAX);
    if ns > LAST_POINTER {
        return false;
    }
    let inum: u32 = or_zeros(ns, offset!(mnt_ns_inum));
    (inum == 0 || inum == ANONYMOUS) && offset!(mnt_ns_inum) != MISSING
}

/// Appends the components of a `struct path`, from the leaf up to the root of its mount namespace; of what is mounted
/// nowhere up to the root of its file system.
#[inline(never)]
pub fn path(writer: Writer, path: usize, kind: u8) {
    // No dentry is there.
    const NOWHERE: usize = 1;
    let [dentry_room, mount_room] = writer.nodes();
    // SAFETY: the rooms are map memory of NODE_READ bytes.
    let path = unsafe { Beginning::<PATH_READ>::read(path, mount_room) };
    let mut dentry: usize = path.member(offset!(path_dentry), 0);
    let vfsmount: usize = path.member(offset!(path_mnt), 0);
    let mnt = offset!(mount_mnt);
    if dentry == 0 || vfsmount == 0 || mnt == MISSING || offset!(dentry_parent) == MISSING {
        return;
    }
    let at = NodeMembers {
        parent: PointerAt::new(offset!(dentry_parent)),
        name: PointerAt::new(offset!(dentry_name)),
        mount_parent: PointerAt::new(offset!(mount_parent)),
        mountpoint: PointerAt::new(offset!(mount_mountpoint)),
        // Beyond what there is where it is missing.
        root: PointerAt::new(offset!(vfsmount_root).saturating_add(mnt)),
    };
    let Some(start) = writer.strings_begin() else { return };
    // SAFETY: as above.
    let mut mount = unsafe { Beginning::<NODE_READ>::read(vfsmount - mnt as usize, mount_room) };
    let mut root = mount.pointer(at.root);
    let mut whole = false;
    for _ in 0..PATH_DEPTH_MAX {
        if dentry == root {
            let above = mount.pointer(at.mount_parent);
            if above != mount.address() && above != 0 {
                dentry = mount.pointer(at.mountpoint);
                // SAFETY: as above.
                mount = unsafe { Beginning::read(above, mount_room) };
                root = mount.pointer(at.root);
                continue;
            }
            if !is_detached(mount.address()) {
                whole = true;
                break;
            }
            // The directories above the mount's root lead on, to the one that is its own parent.
            root = NOWHERE;
        }
        // SAFETY: as above.
        let node = unsafe { Beginning::<NODE_READ>::read(dentry, dentry_room) };
        if !writer.strings_add::<COMPONENT_MAX>(start, PATH_MAX, node.pointer(at.name) as u64, false) {
            break;
        }
        let parent = node.pointer(at.parent);
        if dentry == parent {
            // No directory: the one name is all there is.
            whole = true;
            break;
        }
        dentry = parent;
    }
    // Not kept apart, for the verifier to follow once what differs in nothing else.
    let arg = if root == NOWHERE { ARG_DETACHED } else { 0 };
    writer.strings_end(start, kind, arg, whole);
}

/// Asked for once, since each question is one more for the verifier at each component.
struct NodeMembers {
    parent: PointerAt<NODE_READ>,
    name: PointerAt<NODE_READ>,
    mount_parent: PointerAt<NODE_READ>,
    mountpoint: PointerAt<NODE_READ>,
    root: PointerAt<NODE_READ>,
}
