//! What decoding takes: which columns a need touches, where string sections begin, which types are of which family.

use std::ops::Range;

use super::error::BlockError;
use super::frame::{BULK, Column, ColumnSet, FamilyColumns, HOT};
use super::head::BlockHead;
use super::strings::{FIXED_IDS, Place, Refs, SECTIONS, Section};
use super::{MAX_PARAMS, Need};
use crate::schema::Schema;

/// What is being decoded.
pub(super) struct Job<'a> {
    pub(super) head: &'a BlockHead,
    /// Columns that are asked for and not there yet.
    pub(super) need: Need,
    /// Columns that are there.
    have: Need,
    /// The id of the first string of each section, and of the one after the last.
    bases: [u32; SECTIONS + 1],
    /// How many of the head's event types are of the hot family.
    pub(super) hot_kinds: usize,
}

/// The needs of a family.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) ret: Need,
    pub(super) objects: Need,
    pub(super) fd: Need,
    /// The files of open objects: with these, or with numbers that are coded against them.
    pub(super) files: Need,
    pub(super) args: Need,
}

const ASKED_HOT: Asked = Asked {
    ret: Need::RET_HOT,
    objects: Need::OBJECTS_HOT,
    fd: Need::FD_HOT,
    files: Need(Need::FD_HOT.0 | Need::ARG_COLUMNS_HOT.0),
    args: Need::ARG_COLUMNS_HOT,
};

const ASKED_BULK: Asked = Asked {
    ret: Need::RET_BULK,
    objects: Need::FD_BULK,
    fd: Need::FD_BULK,
    files: Need::FD_BULK,
    args: Need::ARGS_BULK,
};

/// The columns of origins.
pub(super) const ORIGINS: [Column; 6] = [
    Column::Origins,
    Column::OriginLow,
    Column::OriginMiddle,
    Column::OriginHigh,
    Column::OriginEscapes,
    Column::OriginLines,
];

/// The columns of each string section.
pub(super) const SECTION_COLUMNS: [(Section, Column, Column); SECTIONS] = [
    (Section::Images, Column::ImageLens, Column::ImageText),
    (Section::HotFds, Column::HotFdLens, Column::HotFdText),
    (Section::HotArgs, Column::HotArgLens, Column::HotArgText),
    (Section::BulkFds, Column::BulkFdLens, Column::BulkFdText),
    (Section::BulkArgs, Column::BulkArgLens, Column::BulkArgText),
];

/// What may refer to strings of a section: its own columns and those of later sections.
pub(super) const fn readers_of(section: Section) -> Need {
    let from_bulk_args = Need::ARGS_BULK.0;
    let from_bulk_fds = from_bulk_args | Need::FD_BULK.0;
    let from_hot_args = from_bulk_fds | Need::ARGS_HOT.0 | Need::ARG_COLUMNS_HOT.0;
    let from_hot_fds = from_hot_args | Need::FD_HOT.0 | Need::OBJECTS_HOT.0;
    Need(match section {
        Section::Images => from_hot_fds | Need::IMAGES.0,
        Section::HotFds => from_hot_fds,
        Section::HotArgs => from_hot_args,
        Section::BulkFds => from_bulk_fds,
        Section::BulkArgs => from_bulk_args,
    })
}

impl<'a> Job<'a> {
    /// What decoding `need` of a block takes where `have` is there.
    pub(super) fn new(head: &'a BlockHead, schema: &Schema, need: Need, have: Need) -> Result<Job<'a>, BlockError> {
        let mut bases = [FIXED_IDS; SECTIONS + 1];
        for (i, count) in head.counts.strings.iter().enumerate() {
            bases[i + 1] = bases[i] + count;
        }
        Ok(Job {
            head,
            need: need.implied().beyond(have),
            have,
            bases,
            hot_kinds: hot_kinds(head, schema)?,
        })
    }

    /// Whether the open objects of a family are to be read: with their names, or as long as they are not there at all.
    pub(super) fn reads_objects(&self, asked: Asked) -> bool {
        let sockets = self.need.intersects(Need::SOCKETS) && !self.have.intersects(asked.objects);
        self.need.intersects(asked.objects) || sockets
    }

    /// Whether the files of a family's open objects are to be read.
    pub(super) fn reads_files(&self, asked: Asked) -> bool {
        self.need.intersects(asked.files) && !self.have.intersects(asked.files)
    }

    /// Whether the strings of a section are to be read.
    pub(super) fn reads(&self, section: Section) -> bool {
        let readers = readers_of(section);
        self.need.intersects(readers) && !self.have.intersects(readers)
    }

    /// References to the strings of a section.
    pub(super) fn refs(&self, section: Section) -> Refs {
        let i = section as usize;
        Refs::new(self.bases[i], self.bases[i + 1] - self.bases[i])
    }

    /// Where the strings of a section are.
    pub(super) fn place(&self, section: Section) -> Place {
        let i = section as usize;
        Place {
            first: self.bases[i],
            count: self.bases[i + 1] - self.bases[i],
        }
    }

    /// Needs, columns and positions in the head's list of each family.
    pub(super) fn families(&self) -> [(Asked, FamilyColumns, std::ops::Range<usize>); 2] {
        [
            (ASKED_HOT, HOT, 0..self.hot_kinds),
            (ASKED_BULK, BULK, self.hot_kinds..self.head.kinds.len()),
        ]
    }

    /// The columns that are needed.
    pub(super) fn columns(&self) -> ColumnSet {
        let mut set = ColumnSet::default();
        let mut when = |asked: Need, columns: &[Column]| {
            if self.need.intersects(asked) {
                set.add(columns);
            }
        };
        when(Need(Need::KIND.0 | Need::THREAD_KINDS.0), &[Column::Kinds]);
        when(Need::THREADS, &[Column::Contexts]);
        when(Need::CONTEXT, &[Column::Cpus, Column::Switches]);
        when(Need::IMAGES, &[Column::Images, Column::Containers]);
        when(
            Need::TS,
            &[Column::TsLow, Column::TsMiddle, Column::TsHigh, Column::TsEscapes],
        );
        when(Need::DATA, &[Column::DataLens, Column::DataBytes]);
        when(Need::ORIGIN, &ORIGINS);
        when(Need::LATENCY, &[Column::Latencies]);
        when(Need::SOCKETS, &[HOT.fd_dict, BULK.fd_dict]);
        for (asked, c, _) in self.families() {
            when(asked.ret, &[c.rets]);
            when(asked.objects, &[c.fd_dict, c.fd_refs]);
            when(asked.fd, &[c.fd_nums]);
            when(asked.files, &[c.fd_files]);
            when(asked.args, &[c.arg_nums, c.arg_strs, c.arg_paths, c.arg_raws]);
        }
        for (section, lens, text) in SECTION_COLUMNS {
            if self.reads(section) {
                set.add(&[lens, text]);
            }
        }
        set
    }
}

/// Fewer bytes between two frames are read along: it costs less than another system call.
const READ_ALONG: u64 = 8 << 10;

/// The ranges of a body that [`Decoder::decode`] looks at for `need`: ascending and apart. The rest of the body may hold
/// anything, so that a reader need not fetch it.
///
/// [`Decoder::decode`]: super::Decoder::decode
pub fn ranges(head: &BlockHead, schema: &Schema, need: Need) -> Result<Vec<Range<u64>>, BlockError> {
    ranges_beyond(head, schema, need, Need::NOTHING)
}

/// The ranges that adding `need` looks at where `have` is there.
pub(crate) fn ranges_beyond(
    head: &BlockHead,
    schema: &Schema,
    need: Need,
    have: Need,
) -> Result<Vec<Range<u64>>, BlockError> {
    let wanted = Job::new(head, schema, need, have)?.columns();
    let mut ranges: Vec<Range<u64>> = Vec::new();
    let mut at = 0;
    for frame in &head.frames {
        let end = at + u64::from(frame.packed_len);
        if wanted.wants(frame.id) {
            match ranges.last_mut() {
                Some(last) if at - last.end <= READ_ALONG => last.end = end,
                _ => ranges.push(at..end),
            }
        }
        at = end;
    }
    Ok(ranges)
}

/// How many of a head's event types are of the hot family; checks their order.
fn hot_kinds(head: &BlockHead, schema: &Schema) -> Result<usize, BlockError> {
    let mut hot = 0;
    let mut last = None;
    for kind in &head.kinds {
        let spec = schema.get(kind.id).ok_or(BlockError::UnknownKind(kind.id))?;
        if spec.params.len() > MAX_PARAMS {
            return Err(BlockError::Head("an event type has too many parameters"));
        }
        let key = (!spec.hot, kind.id);
        if last.is_some_and(|last| last >= key) {
            return Err(BlockError::Head("event types are out of order"));
        }
        last = Some(key);
        hot += usize::from(spec.hot);
    }
    Ok(hot)
}
