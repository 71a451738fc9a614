//! Late facts: what later parts of a case say about things that earlier events refer to.
//!
//! A container's first events come before the engine has said its name; a process's end is known only when it ends.
//! A first pass over the small parts of all blocks collects these, and [`LateFacts::resolve`] applies them to a block.

use std::collections::BTreeMap;
use std::thread;

use super::Case;
use crate::block::Need;
use crate::block::decoded::{Decoded, EventView};
use crate::container::Container;
use crate::event::{Arg, EventType};
use crate::segment::{BlockReader, BlockRef, Problem};

/// Fewer blocks than this per thread are not worth one.
const BLOCKS_PER_THREAD: usize = 16;

/// What the whole case knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LateFacts {
    containers: BTreeMap<String, Container>,
    problems: Vec<Problem>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Number of the event.
    pub seq: u64,
    /// When, UTC nanoseconds.
    pub ts: u64,
    /// Exit code.
    pub code: i64,
    /// Signal that ended it; 0 for none.
    pub signal: i64,
}

impl LateFacts {
    /// Collects the facts of a case. Damaged blocks are left out and noted.
    pub(crate) fn collect(case: &Case, threads: usize) -> LateFacts {
        let blocks: Vec<&BlockRef> = case.blocks().filter(|b| has_facts(b)).collect();
        let mut facts = LateFacts::default();
        for part in in_parallel(&blocks, threads, |part| of_blocks(case, part)) {
            facts.merge(part);
        }
        for segment in case.segments() {
            match segment.snapshot() {
                Ok(state) => state
                    .into_iter()
                    .flat_map(|s| s.containers)
                    .for_each(|c| facts.learn(c)),
                Err(p) => facts.problems.push(p),
            }
        }
        facts
    }

    /// What is known of a container, by its full id.
    pub fn container(&self, id: &str) -> Option<&Container> {
        self.containers.get(id)
    }

    /// Every container of the case, by id.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.values()
    }

    /// Blocks and snapshots that could not be asked.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Fills in what a block's containers lack. What a block says itself stays: it was true then.
    pub fn resolve(&self, decoded: &mut Decoded) {
        for container in &mut decoded.dict.containers {
            if let Some(known) = self.containers.get(&container.id) {
                complete(container, known);
            }
        }
    }

    /// Takes what is new in a description of a container. The first that says something is believed, in the order of
    /// the recording, so that the result does not depend on how the work is split.
    fn learn(&mut self, container: Container) {
        match self.containers.get_mut(&container.id) {
            Some(known) => complete(known, &container),
            None if container.id.is_empty() => {}
            None => {
                self.containers.insert(container.id.clone(), container);
            }
        }
    }

    fn merge(&mut self, later: LateFacts) {
        later.containers.into_values().for_each(|c| self.learn(c));
        self.problems.extend(later.problems);
    }
}

/// Fills the unknown fields of `into` from `from`.
fn complete(into: &mut Container, from: &Container) {
    if into == from {
        return;
    }
    fill(&mut into.engine, &from.engine, String::is_empty);
    fill(&mut into.name, &from.name, String::is_empty);
    fill(&mut into.image, &from.image, String::is_empty);
    fill(&mut into.image_id, &from.image_id, String::is_empty);
    fill(&mut into.image_digest, &from.image_digest, String::is_empty);
    fill(&mut into.labels, &from.labels, Vec::is_empty);
    fill(&mut into.privileged, &from.privileged, Option::is_none);
    fill(&mut into.mounts, &from.mounts, Vec::is_empty);
    fill(&mut into.ip, &from.ip, String::is_empty);
    fill(&mut into.read_only, &from.read_only, Option::is_none);
    fill(&mut into.cap_add, &from.cap_add, Vec::is_empty);
    fill(&mut into.created_ts, &from.created_ts, |ts| *ts == 0);
    fill(&mut into.started_ts, &from.started_ts, |ts| *ts == 0);
    for (into, from) in into.host_namespaces.iter_mut().zip(&from.host_namespaces) {
        fill(into, from, Option::is_none);
    }
}

fn fill<T: Clone>(into: &mut T, from: &T, unknown: impl Fn(&T) -> bool) {
    if unknown(into) {
        into.clone_from(from);
    }
}

fn has_facts(block: &BlockRef) -> bool {
    block.head().counts.containers > 0 || block.head().has_kind(EventType::DOCKER)
}

fn of_blocks(case: &Case, blocks: &[&BlockRef]) -> LateFacts {
    let mut facts = LateFacts::default();
    let mut reader = case.reader();
    for block in blocks {
        if let Err(p) = of_block(&mut facts, &mut reader, block) {
            facts.problems.push(p);
        }
    }
    facts
}

fn of_block(facts: &mut LateFacts, reader: &mut BlockReader, block: &BlockRef) -> Result<(), Problem> {
    let docker = block.head().has_kind(EventType::DOCKER);
    let need = if docker {
        Need::IMAGES | Need::KIND | Need::ARGS_HOT
    } else {
        Need::IMAGES
    };
    let decoded = reader.read(block, need)?;
    std::mem::take(&mut decoded.dict.containers)
        .into_iter()
        .for_each(|c| facts.learn(c));
    rows_of(decoded, EventType::DOCKER)
        .filter_map(of_docker_event)
        .for_each(|c| facts.learn(c));
    Ok(())
}

/// What an event of the engine says about the container it is about.
fn of_docker_event(event: EventView<'_>) -> Option<Container> {
    let text = |name| match event.arg_named(name) {
        Arg::Str(s) => String::from_utf8_lossy(s).into_owned(),
        _ => String::new(),
    };
    let container = Container {
        id: text("id"),
        engine: "docker".to_owned(),
        name: text("name"),
        image: text("image"),
        ..Container::default()
    };
    (text("type") == "container").then_some(container)
}

/// The events of one type.
fn rows_of(decoded: &Decoded, kind: EventType) -> impl Iterator<Item = EventView<'_>> {
    let kinds = decoded.kinds.iter().filter(move |k| k.spec.id == kind);
    let rows = kinds.flat_map(|k| k.rows.iter()).map(|row| *row as usize);
    rows.filter(|row| *row < decoded.len).map(|row| decoded.event(row))
}

/// Works on consecutive parts of a list on at most so many threads; results in order.
fn in_parallel<T: Send>(blocks: &[&BlockRef], threads: usize, work: impl Fn(&[&BlockRef]) -> T + Sync) -> Vec<T> {
    let work = &work;
    let threads = threads.min(blocks.len() / BLOCKS_PER_THREAD);
    if threads < 2 {
        return vec![work(blocks)];
    }
    let size = blocks.len().div_ceil(threads);
    thread::scope(|scope| {
        let parts: Vec<_> = blocks
            .chunks(size)
            .map(|part| scope.spawn(move || work(part)))
            .collect();
        parts.into_iter().filter_map(|part| part.join().ok()).collect()
    })
}

impl Case {
    /// How each process ended, by its pid and start time ([`crate::process::ProcessImage::start_ts`]); and the blocks
    /// that could not be asked.
    pub fn exits(&self, threads: usize) -> (BTreeMap<(u32, u64), Exit>, Vec<Problem>) {
        let blocks: Vec<&BlockRef> = self
            .blocks()
            .filter(|b| b.head().has_kind(EventType::PROCEXIT))
            .collect();
        let (mut exits, mut problems) = (BTreeMap::new(), Vec::new());
        for (found, bad) in in_parallel(&blocks, threads, |part| exits_of(self, part)) {
            exits.extend(found);
            problems.extend(bad);
        }
        (exits, problems)
    }
}

type Exits = Vec<((u32, u64), Exit)>;

fn exits_of(case: &Case, blocks: &[&BlockRef]) -> (Exits, Vec<Problem>) {
    const NEED: Need = Need(Need::KIND.0 | Need::CONTEXT.0 | Need::IMAGES.0 | Need::ARGS_HOT.0 | Need::TS.0);
    let (mut exits, mut problems) = (Vec::new(), Vec::new());
    let mut reader = case.reader();
    for block in blocks {
        match reader.read(block, NEED) {
            Ok(decoded) => exits.extend(rows_of(decoded, EventType::PROCEXIT).filter_map(exit_of)),
            Err(p) => problems.push(p),
        }
    }
    (exits, problems)
}

fn exit_of(event: EventView<'_>) -> Option<((u32, u64), Exit)> {
    let image = event.image()?.entry;
    let num = |name| match event.arg_named(name) {
        Arg::Num(n) => n,
        _ => 0,
    };
    let exit = Exit {
        seq: event.seq(),
        ts: event.ts(),
        code: num("ret"),
        signal: num("sig"),
    };
    Some(((image.pid, image.start_ts), exit))
}
