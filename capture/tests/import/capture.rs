//! Makes captures: blocks of every version, in both byte orders.

/// A capture being made.
#[derive(Clone, Default)]
pub(crate) struct Capture {
    pub(crate) bytes: Vec<u8>,
    big: bool,
}

/// A parameter of an event.
pub(crate) fn text(s: &str) -> Vec<u8> {
    [s.as_bytes(), b"\0"].concat()
}

impl Capture {
    /// A capture with its section header.
    pub(crate) fn new(big: bool) -> Capture {
        let mut capture = Capture { bytes: Vec::new(), big };
        let body = [
            capture.u32(0x1A2B_3C4D),
            capture.u16(1),
            capture.u16(2),
            capture.u64(u64::MAX),
        ]
        .concat();
        capture.block(0x0A0D_0D0A, &body);
        capture
    }

    fn order<const N: usize>(&self, mut bytes: [u8; N]) -> Vec<u8> {
        if self.big {
            bytes.reverse();
        }
        bytes.to_vec()
    }

    pub(crate) fn u16(&self, n: u16) -> Vec<u8> {
        self.order(n.to_le_bytes())
    }

    pub(crate) fn u32(&self, n: u32) -> Vec<u8> {
        self.order(n.to_le_bytes())
    }

    pub(crate) fn u64(&self, n: u64) -> Vec<u8> {
        self.order(n.to_le_bytes())
    }

    pub(crate) fn i64(&self, n: i64) -> Vec<u8> {
        self.order(n.to_le_bytes())
    }

    pub(crate) fn block(&mut self, kind: u32, body: &[u8]) {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let length = u32::try_from(body.len() + padding.len() + 12).expect("small");
        let parts = [
            self.u32(kind),
            self.u32(length),
            body.to_vec(),
            padding,
            self.u32(length),
        ];
        self.bytes.extend(parts.concat());
    }

    fn long_text(&self, s: &str) -> Vec<u8> {
        [self.u16(u16::try_from(s.len()).expect("short")), s.as_bytes().to_vec()].concat()
    }

    /// A process list of a version, with one process.
    pub(crate) fn process(&mut self, version: u8, pid: u64, parent: u64, name: &str, cgroup: &str) {
        let mut e = [self.u64(pid), self.u64(pid), self.u64(parent)].concat();
        if version >= 6 {
            e.extend(self.u64(pid));
        }
        if version >= 8 {
            e.extend(self.u64(pid));
        }
        e.extend(self.long_text(name));
        e.extend(self.long_text(&format!("/bin/{name}")));
        if version >= 7 {
            e.extend(self.long_text(&format!("/usr/bin/{name}")));
        }
        e.extend(self.long_text("-a\0b\0"));
        e.extend(self.long_text("/home/user/"));
        e.extend([self.u64(1024), self.u32(0), self.u32(1000), self.u32(1000)].concat());
        if version >= 2 {
            e.extend([0; 12 + 16]);
        }
        if version >= 3 {
            e.extend(self.long_text("HOME=/home/user\0"));
        }
        if version >= 4 {
            e.extend([self.u64(pid), self.u64(pid), self.long_text(cgroup)].concat());
        }
        if version >= 5 {
            e.extend(self.long_text("/"));
        }
        if version >= 9 {
            // All that libs 0.18 and later add.
            e.extend([self.u64(0), self.u32(34816), self.u32(1000)].concat());
            e.push(1);
            e.extend([self.u64(0), self.u64(3), self.u64(3)].concat());
            e.push(0);
            e.extend([self.u64(77), self.u64(1), self.u64(2)].concat());
            e.extend([0, 0]);
            e.extend(self.u64(pid));
            let length = u32::try_from(e.len() + 4).expect("small");
            e = [self.u32(length), e].concat();
        }
        let kind = match version {
            1 => 0x202,
            2 => 0x207,
            3 => 0x209,
            later => 0x210 + u32::from(later) - 4,
        };
        self.block(kind, &e);
    }

    /// A descriptor list with a file and a connection.
    pub(crate) fn descriptors(&mut self, sized: bool, tid: u64) {
        let part = |capture: &Capture, e: Vec<u8>| {
            let length = u32::try_from(e.len() + 4).expect("small");
            if sized { [capture.u32(length), e].concat() } else { e }
        };
        let mut file = [
            self.u64(5),
            self.u64(99),
            vec![16],
            self.u32(1),
            self.long_text("/var/log/x"),
        ]
        .concat();
        if sized {
            file.extend(self.u32(8));
        }
        let tcp = [
            self.u64(6),
            self.u64(100),
            vec![3, 10, 0, 0, 1, 10, 0, 0, 2],
            self.u16(40000),
            self.u16(443),
            vec![2],
        ]
        .concat();
        let body = [self.u64(tid), part(self, file), part(self, tcp)].concat();
        self.block(if sized { 0x218 } else { 0x203 }, &body);
    }

    /// An event in a block of a type.
    pub(crate) fn event(&mut self, block: u32, ts: u64, tid: u64, kind: u16, params: &[Vec<u8>]) {
        let wide = block == 0x221 || block == 0x222;
        let lengths: Vec<u8> = params
            .iter()
            .flat_map(|p| {
                let len = p.len();
                if wide {
                    self.u32(len as u32)
                } else {
                    self.u16(len as u16)
                }
            })
            .collect();
        let counted = block >= 0x216;
        let data = params.concat();
        let head = if counted { 26 } else { 22 };
        let length = u32::try_from(head + lengths.len() + data.len()).expect("small");
        let mut body = self.u16(3);
        if matches!(block, 0x208 | 0x217 | 0x222) {
            body.extend(self.u32(0));
        }
        body.extend([self.u64(ts), self.u64(tid), self.u32(length), self.u16(kind)].concat());
        if counted {
            body.extend(self.u32(params.len() as u32));
        }
        body.extend(lengths);
        body.extend(data);
        self.block(block, &body);
    }
}

/// A capture with a little of everything, in event blocks of a type.
pub(crate) fn story(big: bool, block: u32, version: u8) -> Capture {
    let mut c = Capture::new(big);
    let mut machine = [c.u32(4), c.u32(0), c.u64(1 << 30), c.u64(32768)].concat();
    let mut host = b"node-7".to_vec();
    host.resize(128, 0);
    machine.extend(host);
    machine.extend(c.u64(1_000));
    machine.extend([0; 24]);
    c.block(0x201, &machine);
    let id = "0123456789abcdef".repeat(4);
    c.process(version, 1, 0, "init", "");
    c.process(version, 10, 1, "sh", &format!("cpu=/docker/{id}\0"));
    c.descriptors(version >= 9, 10);
    let user = [
        vec![0],
        c.u32(1000),
        c.u32(1000),
        c.long_text("user"),
        c.long_text("/home/user"),
        c.long_text("/bin/sh"),
    ];
    c.block(0x206, &user.concat());
    let ts = 1_700_000_000_000_000_000;
    // open in two halves: the name at the end, as all versions do.
    c.event(block, ts, 10, 2, &[]);
    let open = [c.i64(3), text("notes.txt"), c.u32(2), c.u32(0)];
    c.event(block, ts + 1, 10, 3, &open);
    // write: descriptor and size at the entry, in the oldest way.
    c.event(block, ts + 2, 10, 8, &[c.i64(3), c.u32(5)]);
    c.event(block, ts + 3, 10, 9, &[c.i64(5), b"hello".to_vec()]);
    c.event(block, ts + 4, 10, 8, &[c.i64(6), c.u32(5)]);
    c.event(block, ts + 5, 10, 9, &[c.i64(5), b"hello".to_vec()]);
    // close tells its descriptor at the entry only.
    c.event(block, ts + 6, 10, 4, &[c.i64(3)]);
    c.event(block, ts + 7, 10, 5, &[c.i64(0)]);
    // connect
    c.event(block, ts + 8, 10, 18, &[c.u32(2), c.u32(1), c.u32(0)]);
    c.event(block, ts + 9, 10, 19, &[c.i64(4)]);
    c.event(block, ts + 10, 10, 22, &[c.i64(4)]);
    let tuple = [vec![2, 127, 0, 0, 1], c.u16(5000), vec![127, 0, 0, 1], c.u16(80)].concat();
    c.event(block, ts + 11, 10, 23, &[c.i64(0), tuple]);
    // An event type that no version has, and the end.
    c.event(block, ts + 12, 10, 999, &[c.u32(1)]);
    c.event(block, ts + 13, 10, 16, &[]);
    c
}
