//! Reading a block: the columns that are asked for, and no others, go into a [`Decoded`].

use std::ops::Range;
use std::sync::Arc;

use super::args::{self, FdLookup};
use super::decoded::{ABSENT, ArgColumn, Decoded, KindColumns, RawPath, StrId};
use super::error::BlockError;
use super::fds::{self, FdPrediction, FdRefs};
use super::frame::{self, BULK, Column, ColumnSet, FamilyColumns, Frames, HOT};
use super::head::{BlockHead, frames_digest};
use super::strings::{self, FIXED_IDS, Refs, SECTIONS, Section};
use super::varint::{Cursor, Malformed};
use super::{MAX_PARAMS, Need, contexts, data, images, kinds, time};
use crate::schema::{EventSpec, ParamKind, Schema};

/// Decodes blocks; keeps its memory between blocks, one per reading thread.
#[derive(Debug, Default)]
pub struct Decoder {
    frames: Frames,
    specs: SpecCache,
    pool: Pool,
    prediction: FdPrediction,
    cpus: Vec<u16>,
    order: kinds::ThreadOrder,
}

/// What is being decoded.
struct Job<'a> {
    head: &'a BlockHead,
    need: Need,
    /// The id of the first string of each section, and of the one after the last.
    bases: [u32; SECTIONS + 1],
    /// How many of the head's event types are of the hot family.
    hot_kinds: usize,
}

impl Decoder {
    /// A decoder.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Decodes what `need` asks for into `out`, whose memory is reused. What `need` implies ([`Need::implied`]) is
    /// decoded too, all else in `out` is empty afterwards. After an error the content of `out` means nothing.
    ///
    /// In columns that cover both families, events of a family that was not asked for have no value.
    ///
    /// Never panics and never allocates without bound, whatever the bytes are.
    pub fn decode(
        &mut self,
        head: &BlockHead,
        body: &[u8],
        schema: &Schema,
        need: Need,
        out: &mut Decoded,
    ) -> Result<(), BlockError> {
        head.check()?;
        self.pool.reset(out);
        out.len = head.events as usize;
        out.first_seq = head.first_seq;
        let job = Job::new(head, schema, need)?;
        self.frames.load(&head.frames, body, job.columns())?;
        self.strings(&job, out)?;
        self.images(&job, out)?;
        self.contexts(&job, out)?;
        self.times(&job, out)?;
        if job.need.intersects(Need::DATA) {
            let mut lens = self.frames.column(Column::DataLens);
            let bytes = self.frames.column(Column::DataBytes);
            data::read(&mut lens, &bytes, head.events, &mut out.data_ends, &mut out.data_bytes)
                .map_err(|m| m.in_column(Column::DataLens))?;
        }
        if job.need.intersects(Need::KIND) {
            self.kinds(&job, schema, out)?;
            self.results(&job, out)?;
            self.fds(&job, out)?;
            self.args(&job, out)?;
        }
        Ok(())
    }

    fn strings(&mut self, job: &Job<'_>, out: &mut Decoded) -> Result<(), BlockError> {
        let strings = &mut out.dict.strings;
        strings::reset(strings);
        for (section, lens, text) in SECTION_COLUMNS {
            let count = job.head.counts.strings[section as usize];
            if !job.need.intersects(readers_of(section)) {
                strings::skip(count, strings);
                continue;
            }
            let (mut lens_cursor, mut text) = (self.frames.column(lens), self.frames.column(text));
            strings::read(&mut lens_cursor, &mut text, count, strings).map_err(|m| m.in_column(lens))?;
        }
        Ok(())
    }

    fn images(&mut self, job: &Job<'_>, out: &mut Decoded) -> Result<(), BlockError> {
        if !job.need.intersects(Need::IMAGES) {
            return Ok(());
        }
        let counts = &job.head.counts;
        let mut containers = self.frames.column(Column::Containers);
        images::read_containers(&mut containers, counts.containers, &mut out.dict.containers)
            .map_err(|m| m.in_column(Column::Containers))?;
        let mut refs = job.refs(Section::Images);
        let mut column = self.frames.column(Column::Images);
        images::read(
            &mut column,
            counts.images,
            counts.containers,
            &mut refs,
            &mut out.dict.images,
        )
        .and_then(|()| refs.finish())
        .map_err(|m| m.in_column(Column::Images))
    }

    fn contexts(&mut self, job: &Job<'_>, out: &mut Decoded) -> Result<(), BlockError> {
        if !job.need.intersects(Need::CONTEXT) {
            return Ok(());
        }
        let (head, counts) = (job.head, &job.head.counts);
        let mut column = self.frames.column(Column::Contexts);
        contexts::read(&mut column, counts.contexts, counts.images, &mut out.dict.contexts)
            .map_err(|m| m.in_column(Column::Contexts))?;
        let runs = self.frames.column(Column::ContextRuns);
        contexts::read_runs(runs, head.events, counts.contexts, &mut out.context)
            .map_err(|m| m.in_column(Column::ContextRuns))?;
        if job.need.intersects(Need::CPU) {
            let mut column = self.frames.column(Column::Cpu);
            contexts::read_cpus(&mut column, &out.context, counts.contexts, &mut self.cpus, &mut out.cpu)
                .map_err(|m| m.in_column(Column::Cpu))?;
        }
        Ok(())
    }

    fn times(&mut self, job: &Job<'_>, out: &mut Decoded) -> Result<(), BlockError> {
        if !job.need.intersects(Need::TS) {
            return Ok(());
        }
        let planes = [Column::TsLow, Column::TsMiddle, Column::TsHigh].map(|c| self.frames.column(c));
        let mut escapes = self.frames.column(Column::TsEscapes);
        time::read(job.head.base_ts, job.head.events, planes, &mut escapes, &mut out.ts)
            .map_err(|m| m.in_column(Column::TsLow))
    }

    fn kinds(&mut self, job: &Job<'_>, schema: &Schema, out: &mut Decoded) -> Result<(), BlockError> {
        let mut rows: Vec<Vec<u32>> = Vec::with_capacity(job.head.kinds.len());
        for kind in &job.head.kinds {
            rows.push(self.pool.rows(kind.events as usize));
        }
        let column = self.frames.column(Column::Kinds);
        self.order.start(&out.context, job.head.counts.contexts as usize);
        kinds::read(
            &column,
            &out.context,
            &mut self.order,
            &mut rows,
            &mut out.kind,
            &mut out.ordinal,
        )
        .map_err(|m| m.in_column(Column::Kinds))?;
        for (kind, rows) in job.head.kinds.iter().zip(rows) {
            if rows.len() != kind.events as usize {
                return Err(Malformed::Counts.in_column(Column::Kinds));
            }
            let spec = schema.get(kind.id).ok_or(BlockError::UnknownKind(kind.id))?;
            out.kinds.push(KindColumns {
                spec: self.specs.get(spec),
                rows,
                args: Vec::new(),
            });
        }
        Ok(())
    }

    fn results(&mut self, job: &Job<'_>, out: &mut Decoded) -> Result<(), BlockError> {
        if !job.need.intersects(Need::RET) {
            return Ok(());
        }
        out.ret.resize(out.len, ABSENT);
        for (asked, columns, family) in job.families() {
            if !job.need.intersects(asked.ret) {
                continue;
            }
            let mut cursor = self.frames.column(columns.rets);
            for kind in out.kinds.get(family).unwrap_or_default() {
                args::read_rets(&mut cursor, &kind.rows, &mut out.ret).map_err(|m| m.in_column(columns.rets))?;
            }
            cursor.finish().map_err(|m| m.in_column(columns.rets))?;
        }
        Ok(())
    }

    fn fds(&mut self, job: &Job<'_>, out: &mut Decoded) -> Result<(), BlockError> {
        if !job.need.intersects(Need::FD) {
            return Ok(());
        }
        out.fd.resize(out.len, 0);
        out.fd_num.resize(out.len, ABSENT);
        fds::reset(&mut out.dict.fds);
        for (i, (asked, columns, family)) in job.families().into_iter().enumerate() {
            if !job.need.intersects(asked.fd) {
                continue;
            }
            self.fd_nums(columns, family, out)?;
            let mut refs = job.refs([Section::HotFds, Section::BulkFds][i]);
            let mut dict = self.frames.column(columns.fd_dict);
            fds::read(
                &mut dict,
                job.head.counts.fds[i],
                &mut refs,
                &out.dict.strings,
                &mut out.dict.fds,
            )
            .and_then(|()| refs.finish())
            .map_err(|m| m.in_column(columns.fd_dict))?;
        }
        let present = self.hot_refs(job, out).map_err(|m| m.in_column(Column::HotFdRefs))?;
        if job.need.intersects(Need::FD_BULK) {
            self.bulk_refs(job, present, out)
                .map_err(|m| m.in_column(Column::BulkFdRefs))?;
        }
        Ok(())
    }

    fn fd_nums(
        &self,
        columns: FamilyColumns,
        family: std::ops::Range<usize>,
        out: &mut Decoded,
    ) -> Result<(), BlockError> {
        let mut cursor = self.frames.column(columns.fd_nums);
        for kind in out.kinds.get(family).unwrap_or_default() {
            args::read_fd_nums(&mut cursor, &kind.rows, &out.ret, &mut out.fd_num)
                .map_err(|m| m.in_column(columns.fd_nums))?;
        }
        cursor.finish().map_err(|m| m.in_column(columns.fd_nums))
    }

    /// Reads the references of the hot family; says which of its types have any.
    fn hot_refs(&self, job: &Job<'_>, out: &mut Decoded) -> Result<Vec<bool>, Malformed> {
        let mut cursor = self.frames.column(Column::HotFdRefs);
        let mut refs = FdRefs::new(1, job.head.counts.fds[0]);
        let mut present = Vec::with_capacity(out.kinds.len());
        for kind in out.kinds.get(..job.hot_kinds).unwrap_or_default() {
            let some = fds::read_presence(&mut cursor)?;
            present.push(some);
            if some {
                fds::read_hot_refs(&mut cursor, &mut refs, &kind.rows, &mut out.fd)?;
            }
        }
        refs.finish()?;
        cursor.finish()?;
        Ok(present)
    }

    fn bulk_refs(&mut self, job: &Job<'_>, mut present: Vec<bool>, out: &mut Decoded) -> Result<(), Malformed> {
        let mut cursor = self.frames.column(Column::BulkFdRefs);
        for _ in job.hot_kinds..out.kinds.len() {
            present.push(fds::read_presence(&mut cursor)?);
        }
        let counts = &job.head.counts;
        let mut refs = FdRefs::new(1 + counts.fds[0], counts.fds[1]);
        self.prediction.start(counts.contexts as usize);
        let nums = out.context.iter().zip(&out.fd_num);
        for ((kind, (context, num)), fd) in out.kind.iter().zip(nums).zip(&mut out.fd) {
            if !present.get(*kind as usize).copied().unwrap_or(false) {
                continue;
            }
            let slot = self.prediction.slot(*context, *num).ok_or(Malformed::UnknownId)?;
            if (*kind as usize) < job.hot_kinds {
                *slot = *fd;
            } else {
                *fd = fds::read_bulk_ref(&mut cursor, &mut refs, slot)?;
            }
        }
        refs.finish()?;
        cursor.finish()
    }

    fn args(&mut self, job: &Job<'_>, out: &mut Decoded) -> Result<(), BlockError> {
        for (i, (asked, columns, family)) in job.families().into_iter().enumerate() {
            if !job.need.intersects(asked.args) {
                continue;
            }
            let Decoded { dict, kinds, fd, .. } = out;
            let mut reader = ArgReader {
                columns,
                nums: self.frames.column(columns.arg_nums),
                strs: self.frames.column(columns.arg_strs),
                paths: self.frames.column(columns.arg_paths),
                raws: self.frames.column(columns.arg_raws),
                refs: job.refs([Section::HotArgs, Section::BulkArgs][i]),
                fds: FdLookup {
                    strings: &dict.strings,
                    fds: &dict.fds,
                    fd,
                },
            };
            for kind in kinds.get_mut(family).unwrap_or_default() {
                for param in &kind.spec.params {
                    let column = reader.read(param.kind, &kind.rows, &mut self.pool)?;
                    kind.args.push(column);
                }
            }
            reader.finish()?;
        }
        Ok(())
    }
}

/// Reads the arguments of a family.
struct ArgReader<'a> {
    columns: FamilyColumns,
    nums: Cursor<'a>,
    strs: Cursor<'a>,
    paths: Cursor<'a>,
    raws: Cursor<'a>,
    refs: Refs,
    fds: FdLookup<'a>,
}

impl ArgReader<'_> {
    fn read(&mut self, kind: ParamKind, rows: &[u32], pool: &mut Pool) -> Result<ArgColumn, BlockError> {
        Ok(match kind {
            ParamKind::Path => {
                let mut values = pool.paths.pop().unwrap_or_default();
                self.fds
                    .read_paths(&mut self.paths, &mut self.raws, &mut self.refs, rows, &mut values)
                    .map_err(|m| m.in_column(self.columns.arg_paths))?;
                ArgColumn::Path(values)
            }
            kind if kind.is_num() => {
                let mut values = pool.nums.pop().unwrap_or_default();
                self.fds
                    .read_nums(&mut self.nums, rows, &mut values)
                    .map_err(|m| m.in_column(self.columns.arg_nums))?;
                ArgColumn::Num(values)
            }
            _ => {
                let mut values = pool.strs.pop().unwrap_or_default();
                args::read_strs(&mut self.strs, &mut self.refs, rows.len(), &mut values)
                    .map_err(|m| m.in_column(self.columns.arg_strs))?;
                ArgColumn::Str(values)
            }
        })
    }

    fn finish(&self) -> Result<(), BlockError> {
        let c = self.columns;
        self.nums.finish().map_err(|m| m.in_column(c.arg_nums))?;
        self.strs.finish().map_err(|m| m.in_column(c.arg_strs))?;
        self.paths.finish().map_err(|m| m.in_column(c.arg_paths))?;
        self.raws.finish().map_err(|m| m.in_column(c.arg_raws))?;
        self.refs.finish().map_err(|m| m.in_column(c.arg_lens))
    }
}

/// The needs of a family.
#[derive(Clone, Copy)]
struct Asked {
    ret: Need,
    fd: Need,
    args: Need,
}

const ASKED_HOT: Asked = Asked {
    ret: Need::RET_HOT,
    fd: Need::FD_HOT,
    args: Need::ARGS_HOT,
};

const ASKED_BULK: Asked = Asked {
    ret: Need::RET_BULK,
    fd: Need::FD_BULK,
    args: Need::ARGS_BULK,
};

/// The columns of each string section.
const SECTION_COLUMNS: [(Section, Column, Column); SECTIONS] = [
    (Section::Images, Column::ImageLens, Column::ImageText),
    (Section::HotFds, Column::HotFdLens, Column::HotFdText),
    (Section::HotArgs, Column::HotArgLens, Column::HotArgText),
    (Section::BulkFds, Column::BulkFdLens, Column::BulkFdText),
    (Section::BulkArgs, Column::BulkArgLens, Column::BulkArgText),
];

/// What may refer to strings of a section: its own columns and those of later sections.
const fn readers_of(section: Section) -> Need {
    let from_bulk_args = Need::ARGS_BULK.0;
    let from_bulk_fds = from_bulk_args | Need::FD_BULK.0;
    let from_hot_args = from_bulk_fds | Need::ARGS_HOT.0;
    let from_hot_fds = from_hot_args | Need::FD_HOT.0;
    Need(match section {
        Section::Images => from_hot_fds | Need::IMAGES.0,
        Section::HotFds => from_hot_fds,
        Section::HotArgs => from_hot_args,
        Section::BulkFds => from_bulk_fds,
        Section::BulkArgs => from_bulk_args,
    })
}

impl<'a> Job<'a> {
    fn new(head: &'a BlockHead, schema: &Schema, need: Need) -> Result<Job<'a>, BlockError> {
        let mut bases = [FIXED_IDS; SECTIONS + 1];
        for (i, count) in head.counts.strings.iter().enumerate() {
            bases[i + 1] = bases[i] + count;
        }
        Ok(Job {
            head,
            need: need.implied(),
            bases,
            hot_kinds: hot_kinds(head, schema)?,
        })
    }

    fn refs(&self, section: Section) -> Refs {
        let i = section as usize;
        Refs::new(self.bases[i], self.bases[i + 1] - self.bases[i])
    }

    /// Needs, columns and positions in the head's list of each family.
    fn families(&self) -> [(Asked, FamilyColumns, std::ops::Range<usize>); 2] {
        [
            (ASKED_HOT, HOT, 0..self.hot_kinds),
            (ASKED_BULK, BULK, self.hot_kinds..self.head.kinds.len()),
        ]
    }

    /// The columns that are needed.
    fn columns(&self) -> ColumnSet {
        let mut set = ColumnSet::default();
        let mut when = |asked: Need, columns: &[Column]| {
            if self.need.intersects(asked) {
                set.add(columns);
            }
        };
        when(Need::KIND, &[Column::Kinds]);
        when(Need::CONTEXT, &[Column::Contexts, Column::ContextRuns]);
        when(Need::IMAGES, &[Column::Images, Column::Containers]);
        when(Need::CPU, &[Column::Cpu]);
        when(
            Need::TS,
            &[Column::TsLow, Column::TsMiddle, Column::TsHigh, Column::TsEscapes],
        );
        when(Need::DATA, &[Column::DataLens, Column::DataBytes]);
        for (section, lens, text) in SECTION_COLUMNS {
            when(readers_of(section), &[lens, text]);
        }
        for (asked, c, _) in self.families() {
            when(asked.ret, &[c.rets]);
            when(asked.fd, &[c.fd_dict, c.fd_refs, c.fd_nums]);
            when(asked.args, &[c.arg_nums, c.arg_strs, c.arg_paths, c.arg_raws]);
        }
        set
    }
}

/// Fewer bytes between two frames are read along: it costs less than another system call.
const READ_ALONG: u64 = 8 << 10;

/// The ranges of a body that [`Decoder::decode`] looks at for `need`: ascending and apart. The rest of the body may hold
/// anything, so that a reader need not fetch it.
pub fn ranges(head: &BlockHead, schema: &Schema, need: Need) -> Result<Vec<Range<u64>>, BlockError> {
    let wanted = Job::new(head, schema, need)?.columns();
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

/// Specs that blocks hand out, shared between blocks.
#[derive(Debug, Default)]
struct SpecCache(Vec<Option<Arc<EventSpec>>>);

impl SpecCache {
    fn get(&mut self, spec: &EventSpec) -> Arc<EventSpec> {
        let at = spec.id.0 as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, None);
        }
        match &mut self.0[at] {
            Some(known) if **known == *spec => known.clone(),
            other => other.insert(Arc::new(spec.clone())).clone(),
        }
    }
}

/// Memory of columns whose number differs from block to block.
#[derive(Debug, Default)]
struct Pool {
    rows: Vec<Vec<u32>>,
    nums: Vec<Vec<i64>>,
    strs: Vec<Vec<StrId>>,
    paths: Vec<Vec<(StrId, RawPath)>>,
}

impl Pool {
    fn rows(&mut self, capacity: usize) -> Vec<u32> {
        let mut rows = self.rows.pop().unwrap_or_default();
        rows.reserve(capacity);
        rows
    }

    /// Empties `out`, keeping its memory.
    fn reset(&mut self, out: &mut Decoded) {
        for kind in out.kinds.drain(..) {
            self.rows.push(emptied(kind.rows));
            for column in kind.args {
                match column {
                    ArgColumn::Num(v) => self.nums.push(emptied(v)),
                    ArgColumn::Str(v) => self.strs.push(emptied(v)),
                    ArgColumn::Path(v) => self.paths.push(emptied(v)),
                }
            }
        }
        out.dict.strings.bytes.clear();
        out.dict.strings.ends.clear();
        out.dict.images.clear();
        out.dict.containers.clear();
        out.dict.fds.clear();
        out.dict.contexts.clear();
        out.kind.clear();
        out.ordinal.clear();
        out.ts.clear();
        out.cpu.clear();
        out.context.clear();
        out.ret.clear();
        out.fd_num.clear();
        out.fd.clear();
        out.data_ends.clear();
        out.data_bytes.clear();
    }
}

fn emptied<T>(mut v: Vec<T>) -> Vec<T> {
    v.clear();
    v
}

/// Checks that a body is the one its head was made for: length, checksum of each frame, digest over all.
pub fn verify(head: &BlockHead, body: &[u8]) -> Result<(), BlockError> {
    let frames: Vec<_> = frame::locate(&head.frames, body)?.collect();
    for (entry, bytes) in &frames {
        frame::check(entry, bytes)?;
    }
    if frames_digest(frames.iter().map(|(_, bytes)| *bytes)) != head.frames_digest {
        return Err(BlockError::Digest);
    }
    Ok(())
}
