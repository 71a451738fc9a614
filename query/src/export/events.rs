//! Writing table `events`: blocks are decoded and columns encoded on all threads, and files appear one after the other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use arrow::datatypes::SchemaRef;
use ctrace_trace::segment::BlockRef;

use super::loaded::Loaded;
use super::part::{Bare, LOOKED_UP, Part, Place};
use super::row_group::{Group, Target, Worker, Written};
use super::{Job, Progress, Run, Written as File};
use crate::column::{self, Column};
use crate::error::QueryError;
use crate::tables::Table;

/// The files of a run, complete but for their chunks.
struct Ready {
    number: u32,
    files: Vec<(Bare, Vec<Written>)>,
}

/// Writes all runs; gives their files.
pub(super) fn write(job: &Job, runs: &[Run<'_>], progress: Progress<'_>) -> Result<Vec<File>, QueryError> {
    let writer = Writer::new(job);
    // One run is written while the next one is encoded.
    let (sender, ready) = sync_channel(1);
    thread::scope(|scope| {
        let files = scope.spawn(|| append(job, ready, progress));
        let encoded = writer.encode(runs, &mut |run| sender.send(run).is_ok());
        drop(sender);
        let files = files.join().map_err(|_| broken())?;
        // Where appending failed, encoding only heard that nobody listens.
        let files = files?;
        encoded.map(|()| files)
    })
}

/// Puts chunks into their files.
fn append(job: &Job, ready: Receiver<Ready>, progress: Progress<'_>) -> Result<Vec<File>, QueryError> {
    let mut out = Vec::new();
    for run in ready {
        let mut files = Vec::new();
        for (bare, chunks) in run.files {
            let file = bare.write(chunks)?.close(&job.dir)?;
            job.written(file.rows, progress);
            files.push(file);
        }
        job.journal.note(Table::Events, run.number, &files)?;
        out.append(&mut files);
    }
    Ok(out)
}

struct Writer<'j> {
    job: &'j Job,
    /// Without those that are in the names of folders.
    columns: Vec<Column>,
    schema: SchemaRef,
}

/// What became of a task.
enum Done {
    Column(Vec<Written>),
    Block(Option<Box<Loaded>>),
}

impl<'j> Writer<'j> {
    fn new(job: &'j Job) -> Writer<'j> {
        let columns: Vec<Column> = column::of_events()
            .into_iter()
            .filter(|c| !matches!(c, Column::Host | Column::Date))
            .collect();
        let schema = Arc::new(column::schema(&columns));
        Writer { job, columns, schema }
    }

    fn encode(&self, runs: &[Run<'_>], ready: &mut dyn FnMut(Ready) -> bool) -> Result<(), QueryError> {
        let none: &[BlockRef] = &[];
        let blocks = |at: usize| runs.get(at).map_or(none, |r| r.blocks);
        let (_, mut loaded) = self.step(&[], &Group::new(Vec::new()), blocks(0))?;
        for (at, run) in runs.iter().enumerate() {
            let group = Group::new(loaded);
            let (bare, targets) = self.files(run, &group)?;
            let (mut columns, next) = self.step(&targets, &group, blocks(at + 1))?;
            loaded = next;
            // By day instead of by column.
            let mut files: Vec<(Bare, Vec<Written>)> = bare.into_iter().map(|b| (b, Vec::new())).collect();
            for column in &mut columns {
                files
                    .iter_mut()
                    .zip(column.drain(..))
                    .for_each(|((_, chunks), chunk)| chunks.push(chunk));
            }
            let number = run.number;
            if !ready(Ready { number, files }) {
                break;
            }
        }
        Ok(())
    }

    /// The files of a group's days, and the columns that go into them.
    fn files(&self, run: &Run<'_>, group: &Group) -> Result<(Vec<Bare>, Vec<Target<'_>>), QueryError> {
        let place = Place {
            dir: self.job.dir.clone(),
            table: Table::Events,
            host: run.host.to_owned(),
            number: run.number,
            case_id: self.job.case_id.clone(),
        };
        let create = |(day, _): &(i32, _)| Part::create(&place, &self.schema, *day)?.bare();
        let mut bare = group.days.iter().map(create).collect::<Result<Vec<_>, _>>()?;
        for (bare, (_, rows)) in bare.iter_mut().zip(&group.days) {
            bare.rows = rows.len() as u64;
        }
        let mut writers = bare.iter().map(Bare::column_writers).collect::<Result<Vec<_>, _>>()?;
        for writers in &mut writers {
            writers.reverse();
        }
        let Some(descr) = bare.first().map(Bare::descr) else {
            return Ok((bare, Vec::new()));
        };
        let fields = self.columns.iter().zip(self.schema.fields()).enumerate();
        let targets = fields.map(|(at, (column, field))| Target {
            column,
            field,
            descr: descr.column(at),
            bloom: LOOKED_UP.contains(&column.name()),
            writers: writers.iter_mut().map(|w| Mutex::new(w.pop())).collect(),
        });
        let targets = targets.collect();
        Ok((bare, targets))
    }

    /// Encodes columns and loads the next blocks, on all threads.
    fn step(
        &self,
        targets: &[Target<'_>],
        group: &Group,
        blocks: &[BlockRef],
    ) -> Result<(Vec<Vec<Written>>, Vec<Loaded>), QueryError> {
        let source = &self.job.source;
        // What takes long comes first, so that no thread waits long for the last one. Neighbours often share their pages,
        // and would wait for each other.
        const STRIDE: usize = 7;
        let mut order: Vec<usize> = (0..targets.len()).collect();
        order.sort_by_key(|at| {
            let of_row = targets
                .get(*at)
                .is_some_and(|t| t.column.per() == crate::column::Per::Row);
            (!of_row, *at % STRIDE)
        });
        let work = |worker: &mut Worker, task: usize| -> Result<(usize, Done), QueryError> {
            if self.job.cancel.is_cancelled() {
                return Err(QueryError::Cancelled);
            }
            if let Some((at, target)) = order.get(task).and_then(|at| Some((*at, targets.get(*at)?))) {
                return Ok((at, Done::Column(group.encode(target, worker)?)));
            }
            let loaded = match blocks.get(task - order.len()) {
                Some(block) => Loaded::read(source, &mut worker.reader, block, &self.columns)?,
                None => None,
            };
            Ok((task, Done::Block(loaded.map(Box::new))))
        };
        let mut done = parallel(source.threads(), targets.len() + blocks.len(), &work)?;
        done.sort_by_key(|(at, _)| *at);
        let (mut columns, mut loaded) = (Vec::new(), Vec::new());
        for (_, done) in done {
            match done {
                Done::Column(chunks) => columns.push(chunks),
                Done::Block(block) => loaded.extend(block.map(|b| *b)),
            }
        }
        Ok((columns, loaded))
    }
}

/// Runs numbered tasks on so many threads; results in any order.
fn parallel<T: Send>(
    threads: usize,
    tasks: usize,
    work: &(impl Fn(&mut Worker, usize) -> Result<T, QueryError> + Sync),
) -> Result<Vec<T>, QueryError> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut worker = Worker::new()?;
        let mut out = Vec::new();
        loop {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                return Ok::<_, QueryError>(out);
            }
            out.push(work(&mut worker, task)?);
        }
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads.clamp(1, tasks.max(1))).map(|_| scope.spawn(run)).collect();
        let mut out = Vec::with_capacity(tasks);
        for thread in running {
            out.append(&mut thread.join().map_err(|_| broken())??);
        }
        Ok(out)
    })
}

pub(super) fn broken() -> QueryError {
    QueryError::Internal("a thread of the export broke off".to_owned())
}
