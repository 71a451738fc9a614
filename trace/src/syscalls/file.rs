//! Rows: opening, naming, owning and mounting files.

use super::Payload::Nothing;
use super::Pointer::{OpenHow, Pair};

super::declare! {
    2 open File Hot ret: name Path 0, flags Open 1, mode Mode 2, dev Uint _, ino Uint _;
    85 creat File Hot ret: name Path 0, mode Mode 1, dev Uint _, ino Uint _;
    257 openat File Hot ret: dirfd Fd 0, name Path 1, flags Open 2, mode Mode 3, dev Uint _, ino Uint _;
    437 openat2 File Hot ret: dirfd Fd 0, name Path 1, flags Open _, mode Mode _, resolve Resolve _, dev Uint _, ino Uint _
        => OpenHow(2), Nothing;
    303 name_to_handle_at File Hot _: dirfd Fd 0, path Path 1, flags HandleAt 4;
    304 open_by_handle_at File Hot ret: mountfd Fd 0, flags Open 2, path Path _, dev Uint _, ino Uint _;

    3 close File Bulk 0: fd Fd 0;
    436 close_range File Bulk _: first U32 0, last U32 1, flags CloseRange 2;
    32 dup File Hot ret: oldfd Fd 0;
    33 dup2 File Hot ret: oldfd Fd 0, newfd Fd 1;
    292 dup3 File Hot ret: oldfd Fd 0, newfd Fd 1, flags NewFd 2;
    72 fcntl File Bulk 0: fd Fd 0, cmd Fcntl 1, arg Uint 2;
    22 pipe Ipc Hot _: fd1 Fd _, fd2 Fd _ => Pair(0), Nothing;
    293 pipe2 Ipc Bulk _: fd1 Fd _, fd2 Fd _, flags NewFd 1 => Pair(0), Nothing;

    4 stat File Bulk _: path Path 0;
    5 fstat File Bulk 0: fd Fd 0;
    6 lstat File Bulk _: path Path 0;
    262 newfstatat File Bulk _: dirfd Fd 0, path Path 1, flags At 3;
    332 statx File Bulk _: dirfd Fd 0, path Path 1, flags At 2, mask StatxMask 3;
    136 ustat File Bulk _: dev U32 0;
    137 statfs File Bulk _: path Path 0;
    138 fstatfs File Bulk 0: fd Fd 0;
    21 access File Bulk _: name Path 0, mode Access 1;
    269 faccessat File Bulk _: dirfd Fd 0, path Path 1, mode Access 2;
    439 faccessat2 File Bulk _: dirfd Fd 0, path Path 1, mode Access 2, flags AccessAt 3;
    89 readlink File Bulk _: path Path 0, size Size32 2;
    267 readlinkat File Bulk _: dirfd Fd 0, path Path 1, size Size32 3;
    78 getdents File Bulk 0: fd Fd 0;
    217 getdents64 File Bulk 0: fd Fd 0;
    79 getcwd File Bulk _: path Str 0;
    80 chdir File Hot _: path Path 0;
    81 fchdir File Hot 0: fd Fd 0;
    161 chroot File Priority _: path Path 0;

    82 rename File Hot _: oldpath Path 0, newpath Path 1;
    264 renameat File Hot _: olddirfd Fd 0, oldpath Path 1, newdirfd Fd 2, newpath Path 3;
    316 renameat2 File Hot _: olddirfd Fd 0, oldpath Path 1, newdirfd Fd 2, newpath Path 3, flags Rename 4;
    83 mkdir File Hot _: path Path 0, mode Mode 1;
    258 mkdirat File Hot _: dirfd Fd 0, path Path 1, mode Mode 2;
    84 rmdir File Hot _: path Path 0;
    86 link File Hot _: oldpath Path 0, newpath Path 1;
    265 linkat File Hot _: olddir Fd 0, oldpath Path 1, newdir Fd 2, newpath Path 3, flags At 4;
    87 unlink File Hot _: path Path 0;
    263 unlinkat File Hot _: dirfd Fd 0, name Path 1, flags At 2;
    88 symlink File Hot _: target Str 0, linkpath Path 1;
    266 symlinkat File Hot _: target Str 0, linkdirfd Fd 1, linkpath Path 2;
    133 mknod File Hot _: path Path 0, mode ModeBits 1, dev U32 2;
    259 mknodat File Hot _: dirfd Fd 0, path Path 1, mode ModeBits 2, dev U32 3;
    76 truncate File Hot _: path Path 0, length Size 1;
    77 ftruncate File Bulk 0: fd Fd 0, length Size 1;
    285 fallocate File Hot 0: fd Fd 0, mode FallocateMode 1, offset Uint 2, len Size 3;

    90 chmod File Hot _: filename Path 0, mode ModeBits 1;
    91 fchmod File Hot 0: fd Fd 0, mode ModeBits 1;
    268 fchmodat File Hot _: dirfd Fd 0, filename Path 1, mode ModeBits 2;
    452 fchmodat2 File Hot _: dirfd Fd 0, filename Path 1, mode ModeBits 2, flags At 3;
    92 chown File Hot _: path Path 0, uid Uid 1, gid Gid 2;
    93 fchown File Bulk 0: fd Fd 0, uid Uid 1, gid Gid 2;
    94 lchown File Hot _: path Path 0, uid Uid 1, gid Gid 2;
    260 fchownat File Hot _: dirfd Fd 0, pathname Path 1, uid Uid 2, gid Gid 3, flags At 4;
    95 umask File Bulk _: mask Mode 0;
    132 utime File Hot _: path Path 0;
    235 utimes File Hot _: path Path 0;
    261 futimesat File Hot _: dirfd Fd 0, path Path 1;
    280 utimensat File Bulk _: dirfd Fd 0, path Path 1, flags At 3;
    73 flock File Bulk 0: fd Fd 0, operation Flock 1;

    188 setxattr File Hot _: path Path 0, name Str 1, size Size 3, flags Xattr 4;
    189 lsetxattr File Hot _: path Path 0, name Str 1, size Size 3, flags Xattr 4;
    190 fsetxattr File Hot 0: fd Fd 0, name Str 1, size Size 3, flags Xattr 4;
    191 getxattr File Bulk _: path Path 0, name Str 1, size Size 3;
    192 lgetxattr File Bulk _: path Path 0, name Str 1, size Size 3;
    193 fgetxattr File Bulk 0: fd Fd 0, name Str 1, size Size 3;
    194 listxattr File Bulk _: path Path 0, size Size 2;
    195 llistxattr File Bulk _: path Path 0, size Size 2;
    196 flistxattr File Bulk 0: fd Fd 0, size Size 2;
    197 removexattr File Hot _: path Path 0, name Str 1;
    198 lremovexattr File Hot _: path Path 0, name Str 1;
    199 fremovexattr File Hot 0: fd Fd 0, name Str 1;
    463 setxattrat File Hot _: dirfd Fd 0, path Path 1, flags At 2, name Str 3, size Size 5;
    464 getxattrat File Bulk _: dirfd Fd 0, path Path 1, flags At 2, name Str 3, size Size 5;
    465 listxattrat File Bulk _: dirfd Fd 0, path Path 1, flags At 2, size Size 4;
    466 removexattrat File Hot _: dirfd Fd 0, path Path 1, flags At 2, name Str 3;
    468 file_getattr File Bulk _: dirfd Fd 0, path Path 1, size Size 3, flags At 4;
    469 file_setattr File Hot _: dirfd Fd 0, path Path 1, size Size 3, flags At 4;

    165 mount File Priority _: dev Str 0, dir Path 1, type Str 2, flags Mount 3;
    166 umount2 File Priority _: name Path 0, flags Umount 1;
    155 pivot_root File Priority _: new_root Path 0, put_old Path 1;
    428 open_tree File Priority ret: dirfd Fd 0, path Path 1, flags OpenTree 2;
    467 open_tree_attr File Priority ret: dirfd Fd 0, path Path 1, flags OpenTree 2, size Size 4;
    429 move_mount File Priority _: from_dirfd Fd 0, from_path Path 1, to_dirfd Fd 2, to_path Path 3, flags MoveMount 4;
    430 fsopen File Priority ret: fs_name Str 0, flags FsOpen 1;
    431 fsconfig System Priority 0: fd Fd 0, cmd FsConfig 1, key Str 2, aux Int 4;
    432 fsmount File Priority ret: fs_fd Fd 0, flags FsMount 1, attr_flags MountAttr 2;
    433 fspick File Priority ret: dirfd Fd 0, path Path 1, flags FsPick 2;
    442 mount_setattr File Priority _: dirfd Fd 0, path Path 1, flags At 2, size Size 4;
    457 statmount File Bulk _: size Size 2, flags StatMount 3;
    458 listmount File Bulk _: count Uint 2, flags ListMount 3;
    470 listns File Bulk _: count Uint 2, flags U32 3;
    167 swapon System Hot _: path Path 0, flags SwapOn 1;
    168 swapoff System Hot _: path Path 0;
    139 sysfs File Bulk _: option Int 0;
    179 quotactl User Hot _: cmd QuotaCmd 0, special Str 1, id U32 2;
    443 quotactl_fd User Hot 0: fd Fd 0, cmd QuotaCmd 1, id U32 2;

    253 inotify_init File Hot ret;
    294 inotify_init1 File Hot ret: flags NewFd 0;
    254 inotify_add_watch File Hot 0: fd Fd 0, path Path 1, mask InotifyMask 2;
    255 inotify_rm_watch File Hot 0: fd Fd 0, wd Int 1;
    300 fanotify_init File Hot ret: flags FanotifyInit 0, event_f_flags Open 1;
    301 fanotify_mark File Hot 0: fd Fd 0, flags FanotifyMark 1, mask FanotifyMask 2, dirfd Fd 3, path Path 4;
    319 memfd_create Memory Priority ret: name Str 0, flags Memfd 1;
    447 memfd_secret Memory Hot ret: flags NewFd 0;
    212 lookup_dcookie File Bulk _: cookie Uint 0, size Size 2;
}
