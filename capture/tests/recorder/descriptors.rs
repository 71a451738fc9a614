//! What is behind a descriptor when it is used, whatever the number was given to since.

use std::fs::File;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::path::PathBuf;

use crate::case::{closed, rows};
use crate::run::{folder, own, record};
use ctrace_skip::is_root;

/// Names the folder of [`passing_descriptors`].
const PASSES: &str = "CTRACE_TEST_PASSES";
const PASSED: [&str; 3] = ["first", "second", "third"];

/// Not a test but what the next one records: files that come with a message, are written to, and replaced at once. Credentials
/// come before them.
#[test]
#[ignore = "runs within another test"]
fn passing_descriptors() {
    let Some(folder) = std::env::var_os(PASSES).map(PathBuf::from) else {
        return;
    };
    let made = |name: &str| File::create(folder.join(name)).expect("room");
    let (files, other) = (PASSED.map(made), made("other"));
    let mut pair = [0; 2];
    // SAFETY: what is handed to the kernel lives through each call, and the descriptors are this program's.
    unsafe {
        assert_eq!(
            libc::socketpair(libc::AF_UNIX, libc::SOCK_DGRAM, 0, pair.as_mut_ptr()),
            0
        );
        let on = 1_i32;
        let passes_credentials =
            libc::setsockopt(pair[1], libc::SOL_SOCKET, libc::SO_PASSCRED, (&raw const on).cast(), 4);
        assert_eq!(passes_credentials, 0);
        let mut data = [b'x'];
        let mut vector = libc::iovec {
            iov_base: data.as_mut_ptr().cast(),
            iov_len: 1,
        };
        let mut control = [0_u64; 16];
        let mut message: libc::msghdr = std::mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&raw mut vector, 1);
        message.msg_control = control.as_mut_ptr().cast();
        let bytes = size_of_val(&files.each_ref().map(File::as_raw_fd));
        message.msg_controllen = libc::CMSG_SPACE(bytes as u32) as usize;
        let head = libc::CMSG_FIRSTHDR(&raw const message);
        ((*head).cmsg_level, (*head).cmsg_type) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
        (*head).cmsg_len = libc::CMSG_LEN(bytes as u32) as usize;
        let sent = files.map(IntoRawFd::into_raw_fd);
        libc::CMSG_DATA(head).cast::<[i32; 3]>().write_unaligned(sent);
        assert_eq!(libc::sendmsg(pair[0], &raw const message, 0), 1);
        sent.iter().for_each(|fd| assert_eq!(libc::close(*fd), 0));

        message.msg_controllen = size_of_val(&control);
        assert_eq!(libc::recvmsg(pair[1], &raw mut message, libc::MSG_CMSG_CLOEXEC), 1);
        let rights = libc::CMSG_NXTHDR(&raw const message, libc::CMSG_FIRSTHDR(&raw const message));
        assert_eq!((*rights).cmsg_type, libc::SCM_RIGHTS);
        let received = libc::CMSG_DATA(rights).cast::<[i32; 3]>().read_unaligned();
        received
            .iter()
            .for_each(|fd| assert_eq!(libc::write(*fd, data.as_ptr().cast(), 1), 1));
        received
            .iter()
            .for_each(|fd| assert_eq!(libc::dup2(other.as_raw_fd(), *fd), *fd));
        received
            .iter()
            .for_each(|fd| assert_eq!(libc::write(*fd, data.as_ptr().cast(), 1), 1));
    }
}

/// Names the folder of [`passing_what_is_gone`].
const GONE: &str = "CTRACE_TEST_GONE";

/// Not a test but what a later one records: a second file that comes with a message is written to and gone, and the next file
/// gets its number and its inode's; and the same of objects that have no file, and of a pipe.
#[test]
#[ignore = "runs within another test"]
fn passing_what_is_gone() {
    let Some(folder) = std::env::var_os(GONE).map(PathBuf::from) else {
        return;
    };
    let made = |name: &str| File::create(folder.join(name)).expect("room");
    let first = made("first");
    let data = [0_u8; 8];
    // SAFETY: the descriptors are this program's, and what is handed to the kernel lives through each call.
    unsafe {
        let mut pair = [0; 2];
        let made_pair = libc::socketpair(libc::AF_UNIX, libc::SOCK_DGRAM, 0, pair.as_mut_ptr());
        assert_eq!(made_pair, 0);
        for at in 0..8 {
            let gone = made(&format!("gone{at}"));
            std::fs::remove_file(folder.join(format!("gone{at}"))).expect("there");
            pass(pair[0], [first.as_raw_fd(), gone.as_raw_fd()]);
            drop(gone);
            let [_, second] = take(pair[1]);
            assert_eq!(libc::write(second, data.as_ptr().cast(), 2), 2);
            libc::close(second);
            let later = made(&format!("later{at}")).into_raw_fd();
            if later != second {
                libc::dup2(later, second);
            }
        }
        let (timer, event) = (libc::timerfd_create(libc::CLOCK_MONOTONIC, 0), libc::eventfd(0, 0));
        pass(pair[0], [first.as_raw_fd(), timer]);
        let [_, second] = take(pair[1]);
        assert_eq!(libc::write(second, data.as_ptr().cast(), 3), -1);
        libc::dup2(event, second);
        let mut ends = [0; 2];
        assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
        pass(pair[0], [ends[1], first.as_raw_fd()]);
        let [pipe, _] = take(pair[1]);
        assert_eq!(libc::write(pipe, data.as_ptr().cast(), 4), 4);
        libc::dup2(event, pipe);
    }
}

/// Sends two descriptors with a byte.
unsafe fn pass(socket: i32, fds: [i32; 2]) {
    // SAFETY: as the caller.
    unsafe {
        with_message(|message, head| {
            libc::CMSG_DATA(head).cast::<[i32; 2]>().write_unaligned(fds);
            assert_eq!(libc::sendmsg(socket, message, 0), 1);
        })
    }
}

/// Receives them.
unsafe fn take(socket: i32) -> [i32; 2] {
    let mut fds = [0; 2];
    // SAFETY: as the caller.
    unsafe {
        with_message(|message, head| {
            assert_eq!(libc::recvmsg(socket, message, 0), 1);
            fds = libc::CMSG_DATA(head).cast::<[i32; 2]>().read_unaligned();
        })
    }
    fds
}

/// Makes a message with room for a byte and two descriptors.
unsafe fn with_message(then: impl FnOnce(*mut libc::msghdr, *mut libc::cmsghdr)) {
    // SAFETY: all that the message names lives until the end.
    unsafe {
        let mut data = [b'x'];
        let mut vector = libc::iovec {
            iov_base: data.as_mut_ptr().cast(),
            iov_len: 1,
        };
        let mut control = [0_u64; 4];
        let mut message: libc::msghdr = std::mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&raw mut vector, 1);
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(8) as usize;
        let head = libc::CMSG_FIRSTHDR(&raw const message);
        ((*head).cmsg_level, (*head).cmsg_type) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);
        (*head).cmsg_len = libc::CMSG_LEN(8) as usize;
        then(&raw mut message, head);
    }
}

#[test]
fn that_came_with_a_message_has_no_name_of_what_came_later_as_root() {
    if !is_root("that_came_with_a_message_has_no_name_of_what_came_later_as_root") {
        return;
    }
    let dir = folder();
    let me = std::env::current_exe().expect("this program");
    let run = format!(
        "{GONE}={} {} --ignored --exact descriptors::passing_what_is_gone --test-threads 1; sleep 1",
        dir.path().display(),
        me.display(),
    );
    let case = dir.path().join("case");
    let args = [
        "--sources",
        "syscalls",
        "--syscalls",
        "all",
        "--scope",
        &own(),
        "--",
        "sh",
        "-c",
        &run,
    ];
    record(&case, &args).expect(0).saying(", 0 lost");
    closed(&case);
    let rows = rows(&case);
    let passing = rows
        .iter()
        .find(|row| row.kind == "timerfd_create")
        .expect("recorded")
        .pid;
    let told = |size: &str| {
        let written = rows.iter().filter(|row| {
            row.pid == passing && row.kind == "write" && row.arg("size") == size && row.fd != "/dev/null"
        });
        written.map(|row| row.fd.clone()).collect::<Vec<_>>()
    };
    let files = told("2");
    assert_eq!(files.len(), 8, "{files:?}");
    assert!(files.iter().all(|name| !name.contains("later")), "{files:?}");
    assert_eq!((told("3"), told("4")), (vec![String::new()], vec!["pipe".to_owned()]));
}

#[test]
fn that_came_with_a_message_is_what_the_kernel_gave_as_root() {
    if !is_root("that_came_with_a_message_is_what_the_kernel_gave_as_root") {
        return;
    }
    let dir = folder();
    let me = std::env::current_exe().expect("this program");
    let run = format!(
        "{PASSES}={} {} --ignored --exact descriptors::passing_descriptors --test-threads 1; sleep 1",
        dir.path().display(),
        me.display(),
    );
    // Where the call that brings them is not recorded, it is seen all the same.
    for set in ["all", "write"] {
        let case = dir.path().join(set);
        let args = [
            "--sources",
            "syscalls",
            "--syscalls",
            set,
            "--scope",
            &own(),
            "--",
            "sh",
            "-c",
            &run,
        ];
        record(&case, &args).expect(0).saying(", 0 lost");
        closed(&case);
        let rows = rows(&case);
        let is_ours = |fd: &str| fd.is_empty() || fd.starts_with(dir.path().to_str().expect("UTF-8"));
        let written: Vec<&str> = rows
            .iter()
            .filter(|row| row.kind == "write" && row.ret == Some(1) && is_ours(&row.fd))
            .map(|row| row.fd.rsplit('/').next().unwrap_or_default())
            .collect();
        // Of the second and third the kernel tells which file it is, and the host may not be asked in time for its name.
        assert_eq!(written.len(), 6, "{set}: {written:?}");
        assert_eq!(
            (written[0], &written[3..]),
            ("first", &["other"; 3][..]),
            "{set}: {written:?}"
        );
        for (at, name) in [(1, "second"), (2, "third")] {
            assert!(["", name].contains(&written[at]), "{set}: {written:?}");
        }
        assert_eq!(rows.iter().any(|row| row.kind == "recvmsg"), set == "all", "{set}");
    }
}
