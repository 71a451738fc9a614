//! Captures of sysdig, Falco and Stratoshark: `.scap` files.
//!
//! A file is a sequence of blocks: a section header, lists of what was there, then an event each. Byte orders and
//! versions are told apart by the block types and lengths; facts of the format are in `events.txt`.

mod action;
mod blocks;
mod call;
mod containers;
mod cursor;
mod emit;
mod event;
mod facts;
mod flags;
mod json;
mod lists;
mod plan;
mod sockets;
mod state;
mod world;

use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink};
use blocks::{Block, Blocks, Next};
use emit::Emitter;
use event::Layout;

/// The importer of `.scap` files.
pub(super) struct Scap;

impl Importer for Scap {
    fn name(&self) -> &'static str {
        "scap"
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        if blocks::is_capture(start) {
            Confidence::Certain
        } else {
            Confidence::No
        }
    }

    /// The lists at the beginning have no time; what is a pipe cannot be read twice.
    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        input.size()?;
        let mut blocks = Blocks::new(input);
        loop {
            match blocks.next() {
                Ok(Next::Block(block)) => match layout(block.kind) {
                    Some(layout) => return Some(event::time_of(block.body, layout, block.big)),
                    None => continue,
                },
                _ => return None,
            }
        }
    }

    fn tells_host(&self) -> bool {
        true
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(Scap)
    }
}

impl Reading for Scap {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        let mut blocks = Blocks::new(input);
        let mut emitter = Emitter::new();
        loop {
            match blocks.next()? {
                Next::Block(block) => take(&block, &mut emitter, sink)?,
                Next::End => {
                    emitter.start(0, sink);
                    emitter.tell(0, sink)?;
                    return Ok(End::Whole);
                }
                Next::Cut(offset, reason) => {
                    emitter.start(0, sink);
                    emitter.tell(0, sink)?;
                    return Ok(End::Cut { offset, reason });
                }
            }
            if blocks.count().is_multiple_of(4096) {
                sink.at(blocks.input());
            }
        }
    }
}

fn take(block: &Block<'_>, emitter: &mut Emitter, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    match layout(block.kind) {
        Some(layout) => emitter.event(block, layout, sink),
        None => list(block, emitter, sink),
    }
}

/// How the event of a block is laid out; `None` for blocks that are no events.
fn layout(kind: u32) -> Option<Layout> {
    const EVENT: Layout = Layout {
        flags: false,
        counted: false,
    };
    Some(match kind {
        0x204 | 0x8010_ABCD => EVENT,
        0x208 => Layout { flags: true, ..EVENT },
        0x216 | 0x221 => Layout { counted: true, ..EVENT },
        0x217 | 0x222 => Layout {
            flags: true,
            counted: true,
        },
        _ => return None,
    })
}

/// A block that is no event: the file begins with such.
fn list(block: &Block<'_>, emitter: &mut Emitter, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    let origin = sink.origin(block.offset, 0);
    let (body, big) = (block.body, block.big);
    let world = &mut emitter.world;
    let whole = match block.kind {
        blocks::SECTION_HEADER => {
            world.restart();
            true
        }
        0x201 | 0x8002_ABCD => lists::machine(body, big).map(|(host, _)| sink.host(host)).is_some(),
        0x203 | 0x8001_ABCD | 0x218 => {
            let mut fds = Vec::new();
            let (tid, whole) = lists::descriptors(body, block.kind == 0x218, big, &emitter.flags, &mut fds);
            world.list_fds(tid, fds);
            whole
        }
        0x206 | 0x8012_ABCD | 0x220 => {
            let (users, groups) = (&mut world.users, &mut world.groups);
            lists::accounts(body, block.kind == 0x220, big, users, groups)
        }
        // Interfaces and their addresses: nothing here asks for them.
        0x205 | 0x8011_ABCD | 0x219 => true,
        kind => match lists::process_version(kind) {
            Some(version) => {
                let mut listed = Vec::new();
                let whole = lists::processes(body, version, big, &mut listed);
                world.list(listed);
                whole
            }
            None => return sink.unknown(origin, 0, &format!("block type {kind:#x}"), body),
        },
    };
    if whole {
        return Ok(());
    }
    let reason = format!("block of type {:#x}: an entry does not fit", block.kind);
    emitter.damaged(origin, reason, body);
    Ok(())
}
