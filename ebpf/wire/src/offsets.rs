//! Where the kernel structures of this host keep what the programs read.
//!
//! User space looks the members up in the host's BTF and hands the kernel side one read-only struct. A member
//! the host lacks is [`MISSING`]; the verifier then sees a constant and removes the code that would read it.

use crate::Pod;

/// Value of an offset that this host does not have.
pub const MISSING: u32 = u32::MAX;

macro_rules! offsets {
    ($($(#[doc = $doc:literal])* $name:ident: [$($path:literal),+],)*) => {
        /// Byte offsets into kernel structures, [`MISSING`] where the host has none.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Offsets {
            $(
                #[doc = concat!("Offset of `", concat!($($path, "` or `"),+), "`.")]
                pub $name: u32,
            )*
        }

        impl Offsets {
            /// No member known.
            pub const MISSING: Self = Self { $($name: MISSING,)* };

            /// Name and candidate BTF paths of each offset, in declaration order.
            ///
            /// A path is `struct.member.member`; a bare struct name stands for its size; `enumeration.NAME` is a number.
            /// A nameless enumeration goes by its first name. The first candidate that the host has counts: members
            /// were renamed over the kernel's history.
            pub const PATHS: &'static [(&'static str, &'static [&'static str])] =
                &[$((stringify!($name), &[$($path),+]),)*];

            /// Fills every offset from `find`, which is given the candidates in order.
            pub fn resolve(mut find: impl FnMut(&'static [&'static str]) -> Option<u32>) -> Self {
                Self { $($name: find(&[$($path),+]).unwrap_or(MISSING),)* }
            }

            /// The same without the named one.
            pub fn without(self, name: &str) -> Self {
                Self { $($name: if name == stringify!($name) { MISSING } else { self.$name },)* }
            }

            /// Candidate paths of the offsets that are missing.
            pub fn missing(&self) -> impl Iterator<Item = &'static [&'static str]> {
                let values = [$(self.$name),*];
                let paths = Self::PATHS.iter().map(|(_, paths)| *paths);
                paths.zip(values).filter(|(_, value)| *value == MISSING).map(|(paths, _)| paths)
            }
        }

        const _: () = assert!(size_of::<Offsets>() == 4 * Offsets::PATHS.len());
    };
}

offsets! {
    task_status: ["task_struct.thread_info.status"],
    task_tgid: ["task_struct.tgid"],
    task_pid: ["task_struct.pid"],
    task_comm: ["task_struct.comm"],
    task_real_parent: ["task_struct.real_parent"],
    task_group_leader: ["task_struct.group_leader"],
    task_start: ["task_struct.start_boottime", "task_struct.real_start_time"],
    task_loginuid: ["task_struct.loginuid"],
    task_sessionid: ["task_struct.sessionid"],
    task_cred: ["task_struct.cred"],
    task_mm: ["task_struct.mm"],
    task_fs: ["task_struct.fs"],
    task_files: ["task_struct.files"],
    task_nsproxy: ["task_struct.nsproxy"],
    task_signal: ["task_struct.signal"],
    task_thread_pid: ["task_struct.thread_pid"],
    task_cgroups: ["task_struct.cgroups"],
    task_exit_code: ["task_struct.exit_code"],
    task_stack: ["task_struct.stack"],
    task_seccomp: ["task_struct.seccomp.mode"],
    task_ptrace: ["task_struct.ptrace"],
    regs_size: ["pt_regs"],
    regs_orig_ax: ["pt_regs.orig_ax"],
    regs_di: ["pt_regs.di"],
    regs_bx: ["pt_regs.bx"],
    regs_cs: ["pt_regs.cs"],
    signal_live: ["signal_struct.live"],
    signal_group_exit_code: ["signal_struct.group_exit_code"],
    signal_pids: ["signal_struct.pids"],
    signal_tty: ["signal_struct.tty"],
    tty_driver: ["tty_struct.driver"],
    tty_index: ["tty_struct.index"],
    tty_driver_major: ["tty_driver.major"],
    tty_driver_minor: ["tty_driver.minor_start"],
    cred_uid: ["cred.uid"],
    cred_gid: ["cred.gid"],
    cred_suid: ["cred.suid"],
    cred_sgid: ["cred.sgid"],
    cred_euid: ["cred.euid"],
    cred_egid: ["cred.egid"],
    cred_cap_inheritable: ["cred.cap_inheritable"],
    cred_cap_permitted: ["cred.cap_permitted"],
    cred_cap_effective: ["cred.cap_effective"],
    cred_user_ns: ["cred.user_ns"],
    user_ns_inum: ["user_namespace.ns.inum"],
    nsproxy_mnt_ns: ["nsproxy.mnt_ns"],
    nsproxy_net_ns: ["nsproxy.net_ns"],
    mnt_ns_inum: ["mnt_namespace.ns.inum"],
    net_inum: ["net.ns.inum"],
    pid_level: ["pid.level"],
    pid_numbers: ["pid.numbers"],
    upid_size: ["upid"],
    upid_nr: ["upid.nr"],
    upid_ns: ["upid.ns"],
    pid_ns_inum: ["pid_namespace.ns.inum"],
    css_set_dfl_cgrp: ["css_set.dfl_cgrp"],
    css_set_subsys: ["css_set.subsys"],
    css_cgroup: ["cgroup_subsys_state.cgroup"],
    cgroup_kn: ["cgroup.kn"],
    cgroup_root: ["cgroup.root"],
    cgroup_root_hierarchy: ["cgroup_root.hierarchy_id"],
    kernfs_node_id: ["kernfs_node.id"],
    kernfs_node_name: ["kernfs_node.name"],
    kernfs_node_parent: ["kernfs_node.parent", "kernfs_node.__parent"],
    mm_arg_start: ["mm_struct.arg_start"],
    mm_arg_end: ["mm_struct.arg_end"],
    mm_env_start: ["mm_struct.env_start"],
    mm_env_end: ["mm_struct.env_end"],
    mm_exe_file: ["mm_struct.exe_file"],
    binprm_filename: ["linux_binprm.filename"],
    binprm_interp: ["linux_binprm.interp"],
    fs_pwd: ["fs_struct.pwd"],
    fs_root: ["fs_struct.root"],
    fs_users: ["fs_struct.users"],
    files_count: ["files_struct.count"],
    files_fdt: ["files_struct.fdt"],
    fdtable_max_fds: ["fdtable.max_fds"],
    fdtable_fd: ["fdtable.fd"],
    fdtable_open: ["fdtable.open_fds"],
    file_path: ["file.f_path"],
    file_inode: ["file.f_inode"],
    file_private_data: ["file.private_data"],
    path_mnt: ["path.mnt"],
    path_dentry: ["path.dentry"],
    dentry_parent: ["dentry.d_parent"],
    dentry_name: ["dentry.d_name.name"],
    dentry_hash_pprev: ["dentry.d_hash.pprev"],
    mount_mnt: ["mount.mnt"],
    mount_parent: ["mount.mnt_parent"],
    mount_mountpoint: ["mount.mnt_mountpoint"],
    mount_ns: ["mount.mnt_ns"],
    vfsmount_root: ["vfsmount.mnt_root"],
    inode_size: ["inode"],
    inode_mode: ["inode.i_mode"],
    inode_uid: ["inode.i_uid"],
    inode_ino: ["inode.i_ino"],
    inode_nlink: ["inode.i_nlink", "inode.__i_nlink"],
    inode_sb: ["inode.i_sb"],
    inode_ctime_s: ["inode.i_ctime_sec", "inode.__i_ctime.tv_sec", "inode.i_ctime.tv_sec"],
    inode_ctime_ns: ["inode.i_ctime_nsec", "inode.__i_ctime.tv_nsec", "inode.i_ctime.tv_nsec"],
    inode_mtime_s: ["inode.i_mtime_sec", "inode.__i_mtime.tv_sec", "inode.i_mtime.tv_sec"],
    inode_mtime_ns: ["inode.i_mtime_nsec", "inode.__i_mtime.tv_nsec", "inode.i_mtime.tv_nsec"],
    sb_dev: ["super_block.s_dev"],
    sb_magic: ["super_block.s_magic"],
    socket_sk: ["socket.sk"],
    socket_type: ["socket.type"],
    sock_family: ["sock.__sk_common.skc_family"],
    sock_state: ["sock.__sk_common.skc_state"],
    sock_num: ["sock.__sk_common.skc_num"],
    sock_dport: ["sock.__sk_common.skc_dport"],
    sock_rcv_saddr: ["sock.__sk_common.skc_rcv_saddr"],
    sock_daddr: ["sock.__sk_common.skc_daddr"],
    sock_v6_rcv_saddr: ["sock.__sk_common.skc_v6_rcv_saddr"],
    sock_v6_daddr: ["sock.__sk_common.skc_v6_daddr"],
    sock_net: ["sock.__sk_common.skc_net"],
    sock_protocol: ["sock.sk_protocol"],
    unix_sock_addr: ["unix_sock.addr"],
    unix_sock_peer: ["unix_sock.peer"],
    unix_address_len: ["unix_address.len"],
    unix_address_name: ["unix_address.name"],
    filename_name: ["filename.name"],
    io_file: ["io_kiocb.file"],
    io_opcode: ["io_kiocb.opcode"],
    io_flags: ["io_kiocb.flags"],
    io_multishot_bit: ["REQ_F_FIXED_FILE_BIT.REQ_F_APOLL_MULTISHOT_BIT"],
    io_ring: ["io_kiocb.ctx"],
    io_user_data: ["io_kiocb.cqe.user_data"],
    io_fd: ["io_kiocb.cqe.fd"],
    io_open_dfd: ["io_open.dfd"],
    io_open_slot: ["io_open.file_slot"],
    io_open_filename: ["io_open.filename"],
    io_open_how: ["io_open.how"],
    io_statx_dfd: ["io_statx.dfd"],
    io_statx_flags: ["io_statx.flags"],
    io_statx_mask: ["io_statx.mask"],
    io_statx_filename: ["io_statx.filename"],
    io_unlink_dfd: ["io_unlink.dfd"],
    io_unlink_flags: ["io_unlink.flags"],
    io_unlink_filename: ["io_unlink.filename"],
    io_rename_old_dfd: ["io_rename.old_dfd"],
    io_rename_new_dfd: ["io_rename.new_dfd"],
    io_rename_oldpath: ["io_rename.oldpath"],
    io_rename_newpath: ["io_rename.newpath"],
    io_rename_flags: ["io_rename.flags"],
    io_mkdir_dfd: ["io_mkdir.dfd"],
    io_mkdir_mode: ["io_mkdir.mode"],
    io_mkdir_filename: ["io_mkdir.filename"],
    io_link_old_dfd: ["io_link.old_dfd"],
    io_link_new_dfd: ["io_link.new_dfd"],
    io_link_oldpath: ["io_link.oldpath"],
    io_link_newpath: ["io_link.newpath"],
    io_link_flags: ["io_link.flags"],
    io_connect_addr: ["io_connect.addr"],
    io_connect_addr_len: ["io_connect.addr_len"],
    io_accept_addr: ["io_accept.addr"],
    io_accept_addr_len: ["io_accept.addr_len"],
    io_accept_flags: ["io_accept.flags"],
    io_accept_slot: ["io_accept.file_slot"],
    io_socket_domain: ["io_socket.domain"],
    io_socket_type: ["io_socket.type"],
    io_socket_protocol: ["io_socket.protocol"],
    io_socket_slot: ["io_socket.file_slot"],
    io_rw_addr: ["io_rw.addr"],
    io_rw_len: ["io_rw.len"],
    io_msg_buf: ["io_sr_msg.buf"],
    io_msg_len: ["io_sr_msg.len"],
    io_msg_flags: ["io_sr_msg.msg_flags"],
    io_msg_addr: ["io_sr_msg.addr"],
    io_msg_addr_len: ["io_sr_msg.addr_len"],
    io_close_fd: ["io_close.fd"],
    io_close_slot: ["io_close.file_slot"],
    io_shutdown_how: ["io_shutdown.how"],
    io_listen_backlog: ["io_listen.backlog"],
    io_bind_addr_len: ["io_bind.addr_len"],
    io_async_data: ["io_kiocb.async_data"],
    io_async_name: ["io_async_msghdr.msg.msg_name"],
    io_async_name_len: ["io_async_msghdr.msg.msg_namelen"],
    io_xattr_filename: ["io_xattr.filename"],
    io_xattr_name: ["io_xattr.ctx.kname"],
    io_xattr_size: ["io_xattr.ctx.size"],
    io_xattr_flags: ["io_xattr.ctx.flags"],
    io_sync_len: ["io_sync.len"],
    io_sync_off: ["io_sync.off"],
    io_sync_mode: ["io_sync.mode"],
    io_ftrunc_len: ["io_ftrunc.len"],
    io_install_flags: ["io_fixed_install.o_flags"],
    io_pipe_fds: ["io_pipe.fds"],
    io_pipe_flags: ["io_pipe.flags"],
    io_pipe_slot: ["io_pipe.file_slot"],
}

// SAFETY: a C struct of u32 only.
unsafe impl Pod for Offsets {}
