//! Reading a block: the columns that are asked for, and no others, go into a [`Decoded`].

use super::args::{self, FdLookup};
use super::decoded::{ABSENT, ArgColumn, Decoded, KindColumns};
use super::error::BlockError;
use super::fd_refs::{self, FdPrediction, FdRefs, Role};
use super::frame::{self, Column, FamilyColumns, Frames};
use super::head::{BlockHead, frames_digest};
use super::plan::{Job, SECTION_COLUMNS, readers_of};
use super::pool::{Pool, SpecCache};
use super::strings::{self, Refs, Section};
use super::varint::{Cursor, Malformed};
use super::{Need, containers, contexts, data, fds, images, kinds, time};
use crate::schema::{ParamKind, Schema};

/// Decodes blocks; keeps its memory between blocks, one per reading thread.
#[derive(Debug, Default)]
pub struct Decoder {
    frames: Frames,
    specs: SpecCache,
    pool: Pool,
    prediction: FdPrediction,
    cpus: contexts::Cpus,
    order: kinds::ThreadOrder,
    sorted: Vec<u32>,
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
        strings::reset(strings, job.strings());
        for (section, lens, text) in SECTION_COLUMNS {
            if job.need.intersects(readers_of(section)) {
                let (mut lens_cursor, mut text) = (self.frames.column(lens), self.frames.column(text));
                strings::read(&mut lens_cursor, &mut text, job.place(section), strings)
                    .map_err(|m| m.in_column(lens))?;
            }
        }
        Ok(())
    }

    fn images(&mut self, job: &Job<'_>, out: &mut Decoded) -> Result<(), BlockError> {
        if !job.need.intersects(Need::IMAGES) {
            return Ok(());
        }
        let counts = &job.head.counts;
        let mut containers = self.frames.column(Column::Containers);
        containers::read(&mut containers, counts.containers, &mut out.dict.containers)
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
        let counts = &job.head.counts;
        let mut column = self.frames.column(Column::Contexts);
        contexts::read(&mut column, counts.contexts, counts.images, &mut out.dict.contexts)
            .map_err(|m| m.in_column(Column::Contexts))?;
        let cpus = self.frames.column(Column::Cpus);
        let switches = self.frames.column(Column::Switches);
        self.cpus
            .read(&cpus, switches, out.len, counts.contexts, &mut out.context)
            .map_err(|m| m.in_column(Column::Switches))?;
        if job.need.intersects(Need::CPU) {
            self.cpus.expand(&mut out.cpu);
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
        let column = self.frames.column(Column::Kinds);
        self.order.start(&out.context, job.head.counts.contexts as usize);
        let counts: Vec<u32> = job.head.kinds.iter().map(|k| k.events).collect();
        let mut rows: Vec<Vec<u32>> = counts.iter().map(|n| self.pool.rows(*n as usize)).collect();
        kinds::read(&column, &out.context, &mut self.order, counts.len(), &mut out.kind)
            .and_then(|()| kinds::rows(&out.kind, &counts, &mut self.sorted, &mut rows))
            .map_err(|m| m.in_column(Column::Kinds))?;
        for (kind, rows) in job.head.kinds.iter().zip(rows) {
            let spec = schema.get(kind.id).ok_or(BlockError::UnknownKind(kind.id))?;
            out.kinds.push(KindColumns {
                spec: self.specs.get(spec),
                rows,
                args: Vec::new(),
            });
        }
        if job.need.intersects(Need::ARGS) {
            kinds::ordinals(out.kinds.iter().map(|k| k.rows.as_slice()), out.len, &mut out.ordinal);
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
            let new = out.dict.fds.len() - job.head.counts.fds[i] as usize;
            let mut files = self.frames.column(columns.fd_files);
            fds::read_files(&mut files, out.dict.fds.get_mut(new..).unwrap_or_default())
                .map_err(|m| m.in_column(columns.fd_files))?;
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
            let some = fd_refs::read_presence(&mut cursor)?;
            present.push(some);
            if some {
                fd_refs::read_hot_refs(&mut cursor, &mut refs, &kind.rows, &mut out.fd)?;
            }
        }
        refs.finish()?;
        cursor.finish()?;
        Ok(present)
    }

    fn bulk_refs(&mut self, job: &Job<'_>, mut present: Vec<bool>, out: &mut Decoded) -> Result<(), Malformed> {
        let mut cursor = self.frames.column(Column::BulkFdRefs);
        for _ in job.hot_kinds..out.kinds.len() {
            present.push(fd_refs::read_presence(&mut cursor)?);
        }
        let counts = &job.head.counts;
        let refs = FdRefs::new(1 + counts.fds[0], counts.fds[1]);
        self.prediction.start(counts.contexts as usize);
        let role = |(kind, present): (usize, &bool)| match (*present, kind < job.hot_kinds) {
            (false, _) => Role::Passed,
            (true, true) => Role::Observed,
            (true, false) => Role::Read,
        };
        let roles: Vec<Role> = present.iter().enumerate().map(role).collect();
        let events = out.kind.iter().zip(&out.context).zip(&out.fd_num);
        fd_refs::read_bulk_refs(cursor, refs, &mut self.prediction, events, &roles, &mut out.fd)
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
