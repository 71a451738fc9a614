//! Events of a decoded block against those that went in.

use ctrace_trace::block::decoded::{Decoded, EventView, FdView, ImageView};
use ctrace_trace::fd::FdEntry;
use ctrace_trace::process::ProcessImage;

use crate::random::OwnedEvent;

pub(crate) fn assert_same(block: &Decoded, events: &[OwnedEvent], first_seq: u64) {
    assert_eq!(block.len, events.len());
    for (i, (view, event)) in block.events().zip(events).enumerate() {
        assert_eq!(view.seq(), first_seq + i as u64);
        assert_event(view, event);
    }
}

fn assert_event(view: EventView<'_>, event: &OwnedEvent) {
    let what = format!("row {}: {event:?}", view.row);
    assert_eq!(view.ts(), event.ts, "{what}");
    assert_eq!(view.cpu(), event.cpu, "{what}");
    assert_eq!(view.kind(), Some(event.kind), "{what}");
    assert_eq!(view.context().map(|c| c.tid), Some(event.tid), "{what}");
    assert_eq!(view.ret(), event.ret, "{what}");
    assert_eq!(view.latency(), event.latency, "{what}");
    assert_eq!(view.fd_num(), event.fd_num.map(i64::from), "{what}");
    assert_eq!(view.data(), event.data, "{what}");
    let origin = view.origin().map(|o| (o.file, o.offset, o.line));
    let expected = event
        .origin
        .as_ref()
        .map(|(file, offset, line)| (&file.name[..], *offset, *line));
    assert_eq!(origin, expected, "{what}");
    for (slot, arg) in event.args.iter().enumerate() {
        assert_eq!(view.arg(slot), arg.borrow(), "argument {slot} of {what}");
    }
    assert_eq!(view.image().is_some(), event.image.is_some(), "{what}");
    if let (Some(view), Some(image)) = (view.image(), &event.image) {
        assert_image(view, image);
    }
    assert_eq!(view.fd().is_some(), event.fd.is_some(), "{what}");
    if let (Some(view), Some(fd)) = (view.fd(), &event.fd) {
        assert_fd(view, fd);
    }
}

fn assert_image(view: ImageView<'_>, image: &ProcessImage) {
    let e = view.entry;
    let numbers = [
        e.pid, e.ppid, e.vpid, e.sid, e.pgid, e.tty, e.uid, e.euid, e.gid, e.egid, e.loginuid,
    ];
    let expected = [
        image.pid,
        image.ppid,
        image.vpid,
        image.sid,
        image.pgid,
        image.tty,
        image.uid,
        image.euid,
        image.gid,
        image.egid,
        image.loginuid,
    ];
    assert_eq!(numbers, expected);
    let long = [
        e.start_ts,
        e.exec_ts,
        e.cap_permitted,
        e.cap_effective,
        e.cap_inheritable,
        e.exe_ino,
    ];
    let expected = [
        image.start_ts,
        image.exec_ts,
        image.cap_permitted,
        image.cap_effective,
        image.cap_inheritable,
        image.exe_ino,
    ];
    assert_eq!(long, expected);
    assert_eq!(
        (e.exe_ctime, e.exe_mtime, e.exe_flags),
        (image.exe_ctime, image.exe_mtime, image.exe_flags)
    );
    assert_eq!(e.namespaces, image.namespaces);
    let strings = [
        e.name,
        e.exe_path,
        e.argv,
        e.env,
        e.cwd,
        e.cgroup,
        e.user,
        e.group,
        e.login_user,
    ];
    let expected: [&[u8]; 9] = [
        &image.name,
        &image.exe_path,
        &image.argv,
        &image.env,
        &image.cwd,
        &image.cgroup,
        &image.user,
        &image.group,
        &image.login_user,
    ];
    assert_eq!(strings.map(|id| view.str(id)), expected);
    assert_eq!(view.container(), image.container.as_deref());
    assert_eq!(view.parent().is_some(), image.parent.is_some());
    if let (Some(view), Some(image)) = (view.parent(), &image.parent) {
        assert_image(view, image);
    }
}

fn assert_fd(view: FdView<'_>, fd: &FdEntry) {
    let e = view.entry;
    assert_eq!(view.path(), fd.name);
    let raw = if fd.name_raw.is_empty() { &fd.name } else { &fd.name_raw };
    assert_eq!(view.path_raw(), raw);
    assert_eq!(
        (e.kind, e.open_flags, e.dev, e.ino),
        (fd.kind, fd.open_flags, fd.dev, fd.ino)
    );
    assert_eq!(e.socket.as_deref(), fd.socket.as_ref());
}
