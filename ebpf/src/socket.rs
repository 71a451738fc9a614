//! Sockets: the kernel's own view of both ends.

use ctrace_wire::{
    offsets::MISSING,
    section::{self, SOCKADDR_MAX, Socket},
};

use crate::{
    file::{self, S_IFMT},
    read::{embedded, member, offset, pointer},
    scratch::Writer,
};

const S_IFSOCK: u16 = 0o140000;
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Whether what is behind a file can be had on this host.
#[inline(always)]
pub fn are_known() -> bool {
    offset!(file_inode) != MISSING
        && offset!(inode_mode) != MISSING
        && offset!(file_private_data) != MISSING
        && offset!(socket_sk) != MISSING
}

/// Appends the state of the socket behind a file object; nothing when it is no socket.
#[inline(never)]
pub fn describe(writer: Writer, file: usize) {
    let inode = file::inode(file);
    let (socket, sk) = behind(file);
    if sk == 0 {
        return;
    }
    let family: u16 = member!(sk, sock_family, u16::MAX);
    // SAFETY: the writer gives room for one Socket.
    writer.structure::<Socket>(section::SOCKET, |to| unsafe {
        (*to).family = family;
        (*to).kind = member!(socket, socket_type, u16::MAX);
        (*to).protocol = member!(sk, sock_protocol, u16::MAX);
        (*to).state = u16::from(member!(sk, sock_state, 0u8));
        (*to).net_ns = member!(pointer!(sk, sock_net), net_inum, u32::MAX);
        (*to).ino = member!(inode, inode_ino, u64::MAX);
        ports(to, sk, family);
        addresses(to, sk, family);
    });
    if family == AF_UNIX {
        unix_address(writer, sk, section::UNIX_LOCAL);
        unix_address(writer, pointer!(sk, unix_sock_peer), section::UNIX_PEER);
    }
}

/// A socket and its `struct sock`; zeros where a file is none.
#[inline(always)]
fn behind(file: usize) -> (usize, usize) {
    if file::mode(file::inode(file)) & S_IFMT != S_IFSOCK {
        return (0, 0);
    }
    // net/socket.c, sock_alloc_file: private_data of a socket's file is its struct socket.
    let socket = pointer!(file, file_private_data);
    (socket, pointer!(socket, socket_sk))
}

/// Whether a file object is a socket.
#[inline(always)]
pub fn is_one(file: usize) -> bool {
    behind(file).1 != 0
}

/// Whether two file objects are unix sockets that are connected with each other.
#[inline(always)]
pub fn is_pair(files: [usize; 2]) -> bool {
    let [(_, one), (_, other)] = files.map(behind);
    one != 0 && member!(one, sock_family, 0u16) == AF_UNIX && pointer!(one, unix_sock_peer) == other
}

#[inline(always)]
unsafe fn ports(to: *mut Socket, sk: usize, family: u16) {
    let internet = family == AF_INET || family == AF_INET6;
    // SAFETY: the caller gives a writable Socket.
    unsafe {
        (*to).local_port = if internet { member!(sk, sock_num, 0u16) } else { 0 };
        (*to).remote_port = if internet {
            u16::from_be(member!(sk, sock_dport, 0u16))
        } else {
            0
        };
    }
}

#[inline(always)]
unsafe fn addresses(to: *mut Socket, sk: usize, family: u16) {
    // SAFETY: the caller gives a writable Socket; its addresses are aligned to four bytes or more.
    unsafe {
        let local = (&raw mut (*to).local).cast::<[u64; 2]>();
        let remote = (&raw mut (*to).remote).cast::<[u64; 2]>();
        if family == AF_INET6 {
            *local = member!(sk, sock_v6_rcv_saddr, [0u64; 2]);
            *remote = member!(sk, sock_v6_daddr, [0u64; 2]);
        } else if family == AF_INET {
            *local = [u64::from(member!(sk, sock_rcv_saddr, 0u32)), 0];
            *remote = [u64::from(member!(sk, sock_daddr, 0u32)), 0];
        } else {
            *local = [0, 0];
            *remote = [0, 0];
        }
    }
}

#[inline(always)]
fn unix_address(writer: Writer, sk: usize, kind: u8) {
    let address = pointer!(sk, unix_sock_addr);
    if address == 0 || offset!(unix_address_name) == MISSING {
        return;
    }
    let len: u32 = member!(address, unix_address_len, 0);
    let name = embedded(address, offset!(unix_address_name));
    writer.bytes::<{ SOCKADDR_MAX as u32 }>(kind, 0, name as u64, u64::from(len), false);
}
