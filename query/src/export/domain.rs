//! What the values of rows belong to: values are computed once for each entry of a block's dictionaries, and so are those
//! of events that have the same arguments.
//!
//! A quarter of the calls of a busy host differ in what they were asked and answered. Telling which do compares numbers;
//! every column of an event's own would compare texts.

use ctrace_trace::block::decoded::{ArgColumn, Decoded, KindColumns, RawPath};
use ctrace_trace::catalogue::{Basis, Value};

use super::alike::{Alike, mix};
use super::dictionary::NULL;
use crate::column::{Column, Per};
use crate::values::{entry_count, entry_of};

/// What the values of a row may belong to beside the row itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Domain {
    /// The event type.
    Kind,
    /// The thread.
    Context,
    /// The process image.
    Image,
    /// The open object.
    Fd,
    /// The CPU.
    Cpu,
    /// See [`Basis::Result`].
    Result,
    /// See [`Basis::Object`].
    ObjectKind,
    /// See [`Basis::ContainerObject`].
    ContainerObject,
    /// See [`Basis::Arguments`].
    Arguments,
}

impl Domain {
    /// All, in the order of their numbers.
    pub(super) const ALL: [Domain; 9] = [
        Domain::Kind,
        Domain::Context,
        Domain::Image,
        Domain::Fd,
        Domain::Cpu,
        Domain::Result,
        Domain::ObjectKind,
        Domain::ContainerObject,
        Domain::Arguments,
    ];

    /// `None` where every row may have a value of its own.
    pub(super) fn of(column: &Column) -> Option<Domain> {
        match (column.per(), column) {
            (Per::Kind, _) => Some(Domain::Kind),
            (Per::Context, _) => Some(Domain::Context),
            (Per::Image, _) => Some(Domain::Image),
            (Per::Fd, _) => Some(Domain::Fd),
            (Per::Row, Column::Field(field)) => match field.basis() {
                Basis::Event => None,
                Basis::Cpu => Some(Domain::Cpu),
                Basis::Result => Some(Domain::Result),
                Basis::ObjectKind => Some(Domain::ObjectKind),
                Basis::ContainerObject => Some(Domain::ContainerObject),
                Basis::Arguments => Some(Domain::Arguments),
            },
            (Per::Row, _) => None,
        }
    }
}

/// The entries of a domain in a block, and which row has which.
#[derive(Debug)]
pub(super) struct Entries {
    /// The entry of each row; [`NULL`] for none.
    pub(super) of_rows: Vec<u32>,
    of_block: OfBlock,
}

#[derive(Debug)]
enum OfBlock {
    /// Those of a dictionary, and which of them rows use.
    Dictionary(Vec<bool>),
    /// Rows that are alike; the first row of each entry.
    Alike(Vec<u32>),
}

impl Entries {
    /// Finds the entries of a block.
    pub(super) fn of(domain: Domain, block: &Decoded) -> Entries {
        let kind = |row: usize| block.kind.get(row).map(|kind| u64::from(*kind));
        match domain {
            Domain::Kind => Entries::dictionary(Per::Kind, block),
            Domain::Context => Entries::dictionary(Per::Context, block),
            Domain::Image => Entries::dictionary(Per::Image, block),
            Domain::Fd => Entries::dictionary(Per::Fd, block),
            Domain::Cpu => Alike::by(block.len, |row| Some([u64::from(*block.cpu.get(row)?)])),
            Domain::Result => Alike::by(block.len, |row| {
                let number = |values: &[i64]| values.get(row).map_or(0, |v| v.cast_unsigned());
                Some([kind(row)?, number(&block.ret), number(&block.fd_num)])
            }),
            Domain::ObjectKind => Alike::by(block.len, |row| {
                let fd = block.dict.fd(*block.fd.get(row)?);
                Some([kind(row)?, fd.map_or(0, |fd| fd.entry.kind as u64 + 1)])
            }),
            Domain::ContainerObject => container_objects(block),
            Domain::Arguments => arguments(block),
        }
    }

    fn dictionary(per: Per, block: &Decoded) -> Entries {
        let mut used = vec![false; entry_count(per, block)];
        let entry = |row| {
            let entry = entry_of(per, block, row).unwrap_or(NULL);
            match used.get_mut(entry as usize) {
                Some(used) => *used = true,
                None => return NULL,
            }
            entry
        };
        Entries {
            of_rows: (0..block.len).map(entry).collect(),
            of_block: OfBlock::Dictionary(used),
        }
    }

    /// Entries of rows that are alike, with the first row of each.
    pub(super) fn alike(of_rows: Vec<u32>, first: Vec<u32>) -> Entries {
        Entries {
            of_rows,
            of_block: OfBlock::Alike(first),
        }
    }

    /// How many entries there are, those included that no row has.
    pub(super) fn len(&self) -> usize {
        match &self.of_block {
            OfBlock::Dictionary(used) => used.len(),
            OfBlock::Alike(rows) => rows.len(),
        }
    }

    /// The first row of each entry, where rows that are alike are an entry.
    pub(super) fn first_rows(&self) -> &[u32] {
        match &self.of_block {
            OfBlock::Dictionary(_) => &[],
            OfBlock::Alike(rows) => rows,
        }
    }

    /// How many rows each entry has.
    pub(super) fn rows_of(&self) -> Vec<usize> {
        let mut rows = vec![0; self.len()];
        for entry in &self.of_rows {
            if let Some(rows) = rows.get_mut(*entry as usize) {
                *rows += 1;
            }
        }
        rows
    }

    /// Tells the value of each entry, in order; absent ones for those that no row has.
    pub(super) fn values<'b>(&self, column: &Column, block: &'b Decoded, mut tell: impl FnMut(&Value<'b>)) {
        match &self.of_block {
            OfBlock::Dictionary(used) => {
                for (entry, used) in (0..).zip(used) {
                    match used {
                        true => tell(&column.entry_value(block, entry)),
                        false => tell(&Value::Absent),
                    }
                }
            }
            OfBlock::Alike(rows) => {
                let may_have = column.kinds(block);
                let rows = rows.iter().map(|row| *row as usize);
                rows.for_each(|row| tell(&column.row_value(block, row, &may_have)));
            }
        }
    }
}

fn container_objects(block: &Decoded) -> Entries {
    let dict = &block.dict;
    let container = |image: Option<u32>| dict.images.get(image? as usize)?.container;
    // 0 is none.
    let number = |image| container(image).map_or(0, |c| u64::from(c) + 1);
    let of_contexts: Vec<u64> = dict.contexts.iter().map(|c| number(c.image)).collect();
    let container = |row| of_contexts.get(*block.context.get(row)? as usize).copied();
    Alike::by(block.len, |row| {
        let fd = block.fd.get(row).filter(|fd| **fd != 0)?;
        Some([container(row).unwrap_or(0), u64::from(*fd)])
    })
}

fn arguments(block: &Decoded) -> Entries {
    let mut alike = Alike::new(block.len);
    for kind in &block.kinds {
        Arguments::of(block, kind, alike.seed).classify(&mut alike);
    }
    alike.done()
}

/// What tells apart the events of a type.
struct Arguments<'b> {
    block: &'b Decoded,
    kind: &'b KindColumns,
    has_thread: bool,
    has_object: bool,
    /// Of each event.
    hashes: Vec<u64>,
}

impl<'b> Arguments<'b> {
    fn of(block: &'b Decoded, kind: &'b KindColumns, seed: u64) -> Arguments<'b> {
        let mut arguments = Arguments {
            block,
            kind,
            has_thread: Basis::has_thread(&kind.spec),
            has_object: Basis::has_object(&kind.spec),
            hashes: vec![seed; kind.rows.len()],
        };
        arguments.hash();
        arguments
    }

    /// Column by column.
    fn hash(&mut self) {
        let block = self.block;
        let number = |values: &[i64], row: u32| values.get(row as usize).map_or(0, |v| v.cast_unsigned());
        let id = |values: &[u32], row: u32| values.get(row as usize).map_or(0, |v| u64::from(*v));
        for (hash, row) in self.hashes.iter_mut().zip(&self.kind.rows) {
            *hash = mix(*hash, number(&block.ret, *row));
            *hash = mix(*hash, number(&block.fd_num, *row));
            if self.has_object {
                *hash = mix(*hash, id(&block.fd, *row));
            }
            if self.has_thread {
                *hash = mix(*hash, id(&block.context, *row));
            }
        }
        for column in &self.kind.args {
            match column {
                ArgColumn::Num(v) => self.add(v, |v| v.cast_unsigned()),
                ArgColumn::Str(v) => self.add(v, |v| u64::from(v.0)),
                ArgColumn::Path(v) => self.add(v, |(id, raw)| u64::from(id.0) << 32 | of_raw(*raw)),
            }
        }
    }

    fn add<T>(&mut self, values: &[T], number: impl Fn(&T) -> u64) {
        for (hash, value) in self.hashes.iter_mut().zip(values) {
            *hash = mix(*hash, number(value));
        }
    }

    /// Gives each row an entry.
    fn classify(&self, alike: &mut Alike) {
        // The position, among the events of the type, that began each entry.
        let mut began: Vec<usize> = Vec::new();
        let first = alike.first.len() as u32;
        for (at, (row, hash)) in self.kind.rows.iter().zip(&self.hashes).enumerate() {
            let entry = if self.has_bytes(*row) {
                alike.alone(*row)
            } else {
                let began = |entry: u32| began.get(entry.checked_sub(first)? as usize);
                alike.entry(*hash, *row, |entry| {
                    began(entry).is_some_and(|other| self.are_alike(*other, at))
                })
            };
            if alike.first.len() as u32 - first > began.len() as u32 {
                began.push(at);
            }
            alike.set(*row, entry);
        }
    }

    /// Whether bytes were captured: they are shown, and seldom equal.
    fn has_bytes(&self, row: u32) -> bool {
        !self.block.data_bytes.is_empty() && !self.block.event(row as usize).data().is_empty()
    }

    /// Whether two events of the type, neither of which captured bytes, have the same values.
    fn are_alike(&self, a: usize, b: usize) -> bool {
        fn same<T: PartialEq>(values: &[T], a: usize, b: usize) -> bool {
            values.get(a) == values.get(b)
        }
        let (Some(row), Some(other)) = (self.kind.rows.get(a), self.kind.rows.get(b)) else {
            return false;
        };
        let (row, other) = (*row as usize, *other as usize);
        let block = self.block;
        same(&block.ret, row, other)
            && same(&block.fd_num, row, other)
            && (!self.has_object || same(&block.fd, row, other))
            && (!self.has_thread || same(&block.context, row, other))
            && self.kind.args.iter().all(|column| match column {
                ArgColumn::Num(v) => same(v, a, b),
                ArgColumn::Str(v) => same(v, a, b),
                ArgColumn::Path(v) => same(v, a, b),
            })
    }
}

/// A number for the caller's form of a path.
fn of_raw(raw: RawPath) -> u64 {
    match raw {
        RawPath::Same => 0,
        RawPath::Suffix(bytes) => u64::from(bytes) << 1 | 1,
        RawPath::Other(id) => u64::from(id.0) << 1,
    }
}
