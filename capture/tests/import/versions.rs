//! Every block and event version, both byte orders, plain and gzip.

use std::io::Write;

use ctrace_capture::import::End;
use ctrace_trace::event::Source;

use crate::capture::{Capture, story, text};
use crate::imported::{Imported, Row, import_bytes};

/// Block types of events: old, with flags, counted, both, and those for large payloads.
const EVENT_BLOCKS: [u32; 6] = [0x204, 0x208, 0x216, 0x217, 0x221, 0x222];

fn of<'a>(imported: &'a Imported, kind: &str) -> Vec<&'a Row> {
    imported.rows.iter().filter(|r| r.kind == kind).collect()
}

fn check(imported: &Imported) {
    let [open] = of(imported, "open")[..] else {
        panic!("one open")
    };
    assert_eq!((open.ret, open.fd.as_str()), (Some(3), "/home/user/notes.txt"));
    assert_eq!(open.arg("flags"), "1", "O_WRONLY as the kernel counts");
    assert_eq!((open.tid, open.name.as_str(), open.parent.as_str()), (10, "sh", "init"));
    let [file, tcp] = of(imported, "write")[..] else {
        panic!("two writes")
    };
    assert_eq!((file.ret, file.arg("fd"), file.arg("size")), (Some(5), "3", "5"));
    assert_eq!(
        (file.fd.as_str(), file.data.as_slice()),
        ("/home/user/notes.txt", &b"hello"[..])
    );
    assert_eq!(tcp.fd, "10.0.0.1:40000->10.0.0.2:443", "open before the capture began");
    let [close] = of(imported, "close")[..] else {
        panic!("one close")
    };
    assert_eq!(close.fd, "/home/user/notes.txt");
    let [connect] = of(imported, "connect")[..] else {
        panic!("one connect")
    };
    assert_eq!(
        (connect.fd.as_str(), connect.arg("addr")),
        ("127.0.0.1:5000->127.0.0.1:80", "127.0.0.1:80")
    );
    let [end] = of(imported, "procexit")[..] else {
        panic!("one end")
    };
    assert_eq!(end.ts, 1_700_000_000_000_000_013);
    let [raw] = of(imported, "import_raw")[..] else {
        panic!("one unknown")
    };
    assert_eq!(raw.arg("reason"), "event type 999");
    let report = &imported.outcome.files[0];
    assert_eq!((report.unknown, report.bad, &report.end), (1, 0, &End::Whole));
    let about = &imported.case.segments()[0].header().about;
    assert_eq!((about.host.name.as_str(), about.host.cpus), ("node-7", 4));
}

#[test]
fn every_event_block_in_both_byte_orders() {
    for big in [false, true] {
        for block in EVENT_BLOCKS {
            // Only some event types have lengths of 32 bits, which is another thing than the block's type.
            if block == 0x221 || block == 0x222 {
                continue;
            }
            println!("block {block:#x} big {big}");
            check(&import_bytes(&story(big, block, 9).bytes));
        }
    }
}

#[test]
fn every_process_list() {
    for version in 1..=9 {
        let imported = import_bytes(&story(false, 0x216, version).bytes);
        check(&imported);
        let snapshot = imported.case.segments()[0]
            .snapshot()
            .expect("readable")
            .expect("there");
        let sh = snapshot.processes.iter().find(|p| p.pid == 10).expect("sh");
        assert_eq!(
            (sh.argv.as_slice(), sh.cwd.as_slice(), sh.uid),
            (&b"/bin/sh\0-a\0b"[..], &b"/home/user"[..], 1000)
        );
        assert_eq!(sh.user, b"user");
        assert_eq!(sh.fds.len(), 2);
        let in_container = sh.container.starts_with("0123456789ab");
        assert_eq!(in_container, version >= 4, "version {version}");
        if version == 9 {
            assert_eq!(
                (sh.tty, sh.loginuid, sh.cap_permitted, sh.exe_ino),
                (34816, 1000, 3, 77)
            );
            assert_eq!(sh.exe_path, b"/usr/bin/sh");
        }
    }
}

#[test]
fn gzip_is_the_same() {
    let plain = story(false, 0x216, 9).bytes;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&plain).expect("compressed");
    let (mut plain, mut gzip) = (import_bytes(&plain), import_bytes(&gzip.finish().expect("compressed")));
    for row in plain.rows.iter_mut().chain(&mut gzip.rows) {
        row.origin.iter_mut().for_each(|(file, ..)| file.clear());
    }
    let last = plain.rows.len() - 1;
    assert_eq!(
        plain.rows[..last],
        gzip.rows[..last],
        "but for what is said of the file itself"
    );
}

#[test]
fn large_payloads() {
    let mut c = Capture::new(false);
    let data = vec![b'x'; 100_000];
    let json = [
        br#"{"container":{"id":"abcdef123456","name":"web","image":"nginx","labels":{"a":"b"},"#.as_slice(),
        br#""imageid":""#,
        &data,
        br#""}}"#,
        b"\0",
    ]
    .concat();
    c.event(0x221, 5_000_000_000, 1, 324, std::slice::from_ref(&json));
    let imported = import_bytes(&c.bytes);
    let [container] = of(&imported, "container")[..] else {
        panic!("{:?}", imported.outcome.files)
    };
    assert_eq!(container.arg("json").len(), json.len() - 1);
}

/// Both sides tell of a fork, in whichever order; the child then runs another program.
#[test]
fn a_child_is_known_whoever_tells_of_it_first() {
    for parent_first in [true, false] {
        let mut c = Capture::new(false);
        c.process(9, 1, 0, "init", "");
        c.process(9, 10, 1, "sh", "");
        let ts = 1_700_000_000_000_000_000;
        let told = |c: &Capture, ret: i64, tid: i64, parent: i64| {
            let mut params = vec![
                c.i64(ret),
                text("/bin/sh"),
                text("-a"),
                c.i64(tid),
                c.i64(tid),
                c.i64(parent),
            ];
            params.extend([
                text("/home/user"),
                c.i64(1024),
                c.u64(0),
                c.u64(0),
                c.u32(0),
                c.u32(0),
                c.u32(0),
            ]);
            params.extend([
                text("sh"),
                Vec::new(),
                c.u32(0),
                c.u32(1000),
                c.u32(1000),
                c.i64(tid),
                c.i64(tid),
            ]);
            params
        };
        let (parent, child) = (told(&c, 11, 10, 1), told(&c, 0, 11, 10));
        if parent_first {
            c.event(0x216, ts, 10, 223, &parent);
            c.event(0x216, ts + 1, 11, 223, &child);
        } else {
            c.event(0x216, ts, 11, 223, &child);
            c.event(0x216, ts + 1, 10, 223, &parent);
        }
        let mut exec = vec![
            c.i64(0),
            text("ls"),
            text("-l"),
            c.i64(11),
            c.i64(11),
            c.i64(10),
            text("/home/user"),
        ];
        exec.extend([
            c.u64(1024),
            c.u64(0),
            c.u64(0),
            c.u32(0),
            c.u32(0),
            c.u32(0),
            text("ls"),
            Vec::new(),
        ]);
        exec.extend([
            text("A=b"),
            c.u32(0),
            c.i64(11),
            c.u32(1000),
            c.u32(0),
            c.u64(0),
            c.u64(0),
            c.u64(0),
        ]);
        exec.extend([
            c.u64(5),
            c.u64(6),
            c.u64(7),
            c.u32(1000),
            text("/usr/bin/ls"),
            c.i64(11),
            c.u32(1000),
        ]);
        c.event(0x216, ts + 2, 11, 292, &[text("/bin/ls")]);
        c.event(0x216, ts + 3, 11, 293, &exec);
        let imported = import_bytes(&c.bytes);
        let [exec] = of(&imported, "execve")[..] else {
            panic!("one exec")
        };
        assert_eq!(
            (exec.name.as_str(), exec.parent.as_str(), exec.exe.as_str()),
            ("ls", "sh", "/usr/bin/ls")
        );
        assert_eq!(exec.arg("filename"), "/bin/ls");
    }
}

#[test]
fn a_file_says_what_it_was() {
    let bytes = story(false, 0x216, 9).bytes;
    let imported = import_bytes(&bytes);
    let [file] = of(&imported, "imported")[..] else {
        panic!("one file")
    };
    assert_eq!(file.arg("bytes"), bytes.len().to_string());
    assert_eq!(file.arg("sha256").len(), 64);
    let hex: String = imported.outcome.files[0]
        .sha256
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(file.arg("sha256"), hex);
    let spec = ctrace_trace::schema::Schema::current();
    assert_eq!(spec.by_name("imported").next().map(|s| s.source), Some(Source::Capture));
}

/// 32-bit machines have calls of their own for what `sendto` and `recvfrom` do: they tell the ends of a socket alike.
#[test]
fn send_and_recv_tell_the_ends_of_a_socket() {
    let fd_after = |number: u16| {
        let mut c = Capture::new(false);
        c.process(9, 10, 1, "dig", "");
        let ts = 1_700_000_000_000_000_000;
        c.event(0x216, ts, 10, 18, &[c.u32(2), c.u32(2), c.u32(0)]);
        c.event(0x216, ts + 1, 10, 19, &[c.i64(4)]);
        let tuple = [vec![2, 10, 0, 0, 1], c.u16(5000), vec![10, 0, 0, 53], c.u16(53)].concat();
        let told = [c.i64(5), b"hello".to_vec(), c.i64(4), c.u32(5), tuple.clone()];
        // `recvfrom` has the tuple before the descriptor.
        let told = match number {
            35 => vec![c.i64(5), b"hello".to_vec(), tuple, c.i64(4), c.u32(5)],
            _ => told.to_vec(),
        };
        c.event(0x216, ts + 2, 10, number - 1, &[c.i64(4), c.u32(5)]);
        c.event(0x216, ts + 3, 10, number, &told);
        c.event(0x216, ts + 4, 10, 4, &[c.i64(4)]);
        c.event(0x216, ts + 5, 10, 5, &[c.i64(0), c.i64(4)]);
        let imported = import_bytes(&c.bytes);
        let [close] = of(&imported, "close")[..] else {
            panic!("one close")
        };
        close.fd.clone()
    };
    assert_eq!(fd_after(29), fd_after(31));
    assert_eq!(fd_after(33), fd_after(35));
    for number in [29, 33] {
        let fd = fd_after(number);
        assert!(
            fd.contains("10.0.0.1:5000") && fd.contains("10.0.0.53:53"),
            "{number}: {fd}"
        );
    }
}
