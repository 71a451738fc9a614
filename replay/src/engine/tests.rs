//! Matching on dictionaries against asking every event the whole condition, over random events and conditions.

use std::net::SocketAddr;
use std::sync::Arc;

use ctrace_trace::block::decoded::Decoded;
use ctrace_trace::block::{BlockBuilder, Compressor, Decoder, EncodedBlock, Need};
use ctrace_trace::container::Container;
use ctrace_trace::event::{Arg, Event};
use ctrace_trace::fd::{FdEntry, FdKind, Role, Socket};
use ctrace_trace::process::ProcessImage;
use ctrace_trace::schema::Schema;

use super::evaluate::{Place, holds};
use crate::Filter;

/// A generator of numbers that look random and are the same in every run (xorshift64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.roll(from.len())]
    }
}

const NAMES: [&str; 5] = ["sh", "cat", "nginx", "sshd", "x"];
const PATHS: [&str; 11] = [
    "/etc/shadow",
    "/etc/passwd",
    "/etc/ssh/sshd_config",
    "/etc",
    "/etc/",
    "/tmp/x",
    "/usr/bin/cat",
    "/var/log/a",
    "/var/log/shadow",
    "x",
    "/",
];
/// Of the first of the paths and others, the forms in which they were written.
const RAW: [&str; 4] = ["", "", "../etc/shadow", "shadow"];
const KINDS: [&str; 9] = [
    "openat", "open", "execve", "connect", "read", "close", "unlinkat", "procexit", "clone",
];

fn images(dice: &mut Dice) -> Vec<Arc<ProcessImage>> {
    let container = Arc::new(Container {
        id: "c0ffee".repeat(10),
        name: "web".into(),
        ..Container::default()
    });
    let mut out: Vec<Arc<ProcessImage>> = Vec::new();
    for id in 0..40 {
        let parent = (dice.roll(4) > 0 && !out.is_empty()).then(|| out[dice.roll(out.len())].clone());
        out.push(Arc::new(ProcessImage {
            id,
            pid: 10 + id as u32,
            name: dice.pick(&NAMES).into(),
            exe_path: dice.pick(&PATHS).into(),
            argv: format!("{}\0{}", dice.pick(&NAMES), dice.pick(&PATHS))
                .into_bytes()
                .into(),
            tty: dice.roll(2) as u32,
            container: (dice.roll(2) == 0).then(|| container.clone()),
            parent,
            ..ProcessImage::default()
        }));
    }
    out
}

fn fds(dice: &mut Dice) -> Vec<Arc<FdEntry>> {
    let addresses: [SocketAddr; 3] = [
        ([10, 0, 0, 1], 80).into(),
        ([127, 0, 0, 1], 22).into(),
        ([192, 168, 7, 7], 4444).into(),
    ];
    (0..60)
        .map(|id| {
            let socket = (dice.roll(3) == 0).then(|| Socket {
                protocol: 6,
                role: if dice.roll(2) == 0 { Role::Client } else { Role::Server },
                local: addresses[dice.roll(3)],
                remote: addresses[dice.roll(3)],
            });
            Arc::new(FdEntry {
                id: id + 1,
                kind: match (&socket, dice.roll(4)) {
                    (Some(_), _) => FdKind::Ipv4,
                    (None, 0) => FdKind::Directory,
                    (None, 1) => FdKind::Pipe,
                    (None, _) => FdKind::File,
                },
                name: if socket.is_some() {
                    Vec::new()
                } else {
                    dice.pick(&PATHS).into()
                },
                name_raw: dice.pick(&RAW).into(),
                open_flags: dice.roll(3) as u32,
                dev: 0,
                ino: 0,
                socket,
            })
        })
        .collect()
}

fn block(dice: &mut Dice, events: u64) -> EncodedBlock {
    let (images, fds) = (images(dice), fds(dice));
    let schema = Schema::current();
    let mut builder = BlockBuilder::new(schema.clone());
    for n in 0..events {
        let spec = schema.by_name(dice.pick(&KINDS)).next().expect("known");
        let mut args = vec![Arg::None; spec.params.len()];
        for (value, param) in args.iter_mut().zip(&spec.params) {
            *value = match (dice.roll(4), param.kind.is_num()) {
                (0, _) => Arg::None,
                (_, true) => Arg::Num(dice.roll(3) as i64),
                (_, false) if param.kind == ctrace_trace::schema::ParamKind::Path => {
                    let path = dice.pick(&PATHS).as_bytes();
                    Arg::Path {
                        resolved: path,
                        raw: path,
                    }
                }
                (_, false) => Arg::Str(dice.pick(&NAMES).as_bytes()),
            };
        }
        let fd = (spec.has_fd() && dice.roll(5) > 0).then(|| fds[dice.roll(fds.len())].clone());
        let ret = spec.has_ret.then(|| dice.roll(4) as i64 - 1);
        let fd_num = fd
            .as_ref()
            .map(|_| ret.filter(|_| spec.ret_is_fd()).map_or(5, |r| r as i32));
        let image = (dice.roll(20) > 0).then(|| images[dice.roll(images.len())].clone());
        let event = Event {
            ts: 1_000 + n,
            kind: spec.id,
            cpu: 0,
            tid: image.as_ref().map_or(0, |i| i.pid),
            image: image.as_ref(),
            ret,
            latency: None,
            fd_num,
            fd: fd.as_ref(),
            args: &args,
            data: &[],
        };
        builder.push(&event).expect("pushes");
    }
    builder.finish(1, [0; 32], &mut Compressor::new(1)).expect("codes")
}

fn decode(coded: &EncodedBlock, need: Need) -> Decoded {
    let mut out = Decoded::default();
    Decoder::new()
        .decode(&coded.head, &coded.body, &Schema::current(), need, &mut out)
        .expect("decodes");
    out
}

const ATOMS: [&str; 45] = [
    "evt.type = openat",
    "evt.type in (open, openat, execve)",
    "evt.type != read",
    "evt.type startswith open",
    "evt.is_open_read = true",
    "evt.failed = true",
    "evt.rawres >= 0",
    "evt.arg.flags contains O_",
    "evt.arg.name = /etc/shadow",
    "evt.arg[0] exists",
    "proc.name = sh",
    "proc.name != cat",
    "proc.name in (nginx, sshd)",
    "proc.pname exists",
    "proc.pname != sh",
    "proc.aname = sshd",
    "proc.aname[2] in (sh, cat)",
    "proc.exepath startswith /tmp",
    "proc.cmdline contains shadow",
    "proc.tty != 0",
    "container.id != host",
    "container.name = web",
    "fd.name startswith /etc",
    "fd.name glob */x",
    "fd.typechar = f",
    "fd.sip = 127.0.0.1",
    "fd.ip != 10.0.0.1",
    "fd.port in (22, 80)",
    "fd.directory = /etc",
    "fd.directory in (/, /var/log)",
    "fd.directory startswith /etc/s",
    "fd.filename in (shadow, x)",
    "fd.filename != shadow",
    "fd.name in (/etc/shadow, /etc, /etc/)",
    "fd.name != /etc/shadow",
    "fd.name exists",
    "fd.name endswith shadow",
    "fd.name endswith c/shadow",
    "fd.name contains /s",
    "fd.name icontains SHAD",
    "fd.name pmatch (/etc, /var/log/a, x)",
    "fd.nameraw contains ../",
    "fd.filename = val(proc.name)",
    "toupper((proc.name, proc.pname)) in (SH, CAT)",
    "tolower((proc.name, fd.filename)) intersects (x, shadow)",
];

fn condition(dice: &mut Dice, depth: usize) -> String {
    match if depth == 0 { 0 } else { dice.roll(5) } {
        0 | 1 => dice.pick(&ATOMS).to_owned(),
        2 => format!("not ({})", condition(dice, depth - 1)),
        op => {
            let word = if op == 3 { " and " } else { " or " };
            let parts: Vec<String> = (0..2 + dice.roll(2)).map(|_| condition(dice, depth - 1)).collect();
            format!("({})", parts.join(word))
        }
    }
}

#[test]
fn dictionaries_give_what_asking_every_event_gives() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let coded = block(&mut dice, 3_000);
    let block = decode(&coded, Need::ALL);
    let mut matched = 0;
    for _ in 0..400 {
        let text = condition(&mut dice, 4);
        let filter = Filter::parse(&text).expect(&text);
        let asked: Vec<u32> = (0..block.len as u32)
            .filter(|row| {
                let event = block.event(*row as usize);
                let mut ask = |id| {
                    filter
                        .formulas
                        .atom_of(id)
                        .is_some_and(|a| holds(a, Place::Event(event)))
                };
                filter.formulas.eval(filter.condition, &mut ask)
            })
            .collect();
        assert_eq!(filter.rows(&block), asked, "{text}");
        // And the columns that the plan asks for are enough.
        match filter.needs_of(&Schema::current(), coded.head.kinds.iter().map(|k| k.id)) {
            Some(need) => assert_eq!(filter.rows(&decode(&coded, need)), asked, "{text} with {need:?}"),
            None => assert!(asked.is_empty(), "{text}"),
        }
        matched += asked.len();
    }
    assert!(matched > 10_000, "the conditions are not all empty: {matched}");
}
