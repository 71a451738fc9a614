//! Reading a block: the columns that are asked for, and no others, go into a [`Decoded`].

use super::args::{self, FdLookup, OfEvents};
use super::decoded::{ABSENT, ArgColumn, Decoded, Dictionaries, KindColumns};
use super::error::BlockError;
use super::fd_refs::{self, FdPrediction, FdRefs, Role};
use super::frame::{self, Column, FamilyColumns, Frames};
use super::head::{BlockHead, frames_digest};
use super::plan::{Job, ORIGINS, SECTION_COLUMNS};
use super::pool::{Pool, SpecCache};
use super::strings::{self, Refs, Section};
use super::varint::{Cursor, Malformed};
use super::{Need, containers, contexts, data, fds, images, kinds, latencies, origins, time};
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
        self.frames.begin();
        out.len = head.events as usize;
        out.first_seq = head.first_seq;
        strings::reset(&mut out.dict.strings, head.counts.strings());
        self.add(head, body, schema, need, out)
    }

    /// Decodes what `need` asks for beyond what was decoded before. Head and body must be those of the last call of
    /// [`Decoder::decode`], and `out` what it filled; else the content of `out` means nothing.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn add(
        &mut self,
        head: &BlockHead,
        body: &[u8],
        schema: &Schema,
        need: Need,
        out: &mut Decoded,
    ) -> Result<(), BlockError> {
        let job = Job::new(head, schema, need, out.have)?;
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
        self.origins(&job, out)?;
        if job.need.intersects(Need::LATENCY) {
            latencies::read(self.frames.column(Column::Latencies), head.events, &mut out.latency)
                .map_err(|m| m.in_column(Column::Latencies))?;
        }
        self.types(&job, schema, out)?;
        self.kinds(&job, out)?;
        self.results(&job, out)?;
        self.objects(&job, out)?;
        self.files(&job, out)?;
        self.fds(&job, out)?;
        self.args(&job, out)?;
        out.have |= job.need;
        Ok(())
    }

    fn strings(&mut self, job: &Job<'_>, out: &mut Decoded) -> Result<(), BlockError> {
        let strings = &mut out.dict.strings;
        for (section, lens, text) in SECTION_COLUMNS {
            if job.reads(section) {
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
        let counts = &job.head.counts;
        if job.need.intersects(Need::THREADS) {
            let mut column = self.frames.column(Column::Contexts);
            contexts::read(
                &mut column,
                counts,
                job.head.events,
                &mut out.dict.contexts,
                &mut out.thread_ends,
            )
            .map_err(|m| m.in_column(Column::Contexts))?;
        }
        if job.need.intersects(Need::CONTEXT) {
            self.threads(counts.contexts, out)
                .map_err(|m| m.in_column(Column::Switches))?;
        }
        if job.need.intersects(Need::CPU) {
            self.cpus.expand(&mut out.cpu);
        }
        Ok(())
    }

    fn threads(&mut self, count: u32, out: &mut Decoded) -> Result<(), Malformed> {
        let cpus = self.frames.column(Column::Cpus);
        let switches = self.frames.column(Column::Switches);
        self.cpus.read(&cpus, switches, out.len, count, &mut out.context)
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

    fn origins(&mut self, job: &Job<'_>, out: &mut Decoded) -> Result<(), BlockError> {
        if !job.need.intersects(Need::ORIGIN) {
            return Ok(());
        }
        let [which, low, middle, high, mut escapes, lines] = ORIGINS.map(|c| self.frames.column(c));
        let planes = [low, middle, high];
        origins::read(which, planes, &mut escapes, lines, job.head.events, &mut out.origins)
            .map_err(|m| m.in_column(Column::Origins))
    }

    /// Names the event types.
    fn types(&mut self, job: &Job<'_>, schema: &Schema, out: &mut Decoded) -> Result<(), BlockError> {
        if !out.kinds.is_empty() || !job.need.intersects(Need::KIND | Need::OBJECTS_HOT) {
            return Ok(());
        }
        for kind in &job.head.kinds {
            let spec = schema.get(kind.id).ok_or(BlockError::UnknownKind(kind.id))?;
            out.kinds.push(KindColumns {
                spec: self.specs.get(spec),
                events: kind.events,
                rows: self.pool.rows(),
                fds: self.pool.rows(),
                args: Vec::new(),
            });
        }
        Ok(())
    }

    fn kinds(&mut self, job: &Job<'_>, out: &mut Decoded) -> Result<(), BlockError> {
        if job.need.intersects(Need::KIND) {
            let column = self.frames.column(Column::Kinds);
            let counts: Vec<u32> = job.head.kinds.iter().map(|k| k.events).collect();
            let rows = out.kinds.iter_mut().map(|k| &mut k.rows);
            kinds::read(
                &column,
                &out.context,
                &out.thread_ends,
                &mut self.order,
                counts.len(),
                &mut out.kind,
            )
            .and_then(|()| kinds::rows(&out.kind, &counts, &mut self.sorted, rows))
            .map_err(|m| m.in_column(Column::Kinds))?;
        }
        if job.need.intersects(Need::THREAD_KINDS) {
            let column = self.frames.column(Column::Kinds);
            kinds::by_thread(&column, out.len, job.head.kinds.len(), &mut out.thread_kinds)
                .map_err(|m| m.in_column(Column::Kinds))?;
        }
        if job.need.intersects(Need::ARGS) && out.ordinal.is_empty() {
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

    /// Open objects, and which of them the events of the hot family use, type by type.
    fn objects(&mut self, job: &Job<'_>, out: &mut Decoded) -> Result<(), BlockError> {
        let befores = [0, job.head.counts.fds[0]];
        for (i, ((asked, columns, _), before)) in job.families().into_iter().zip(befores).enumerate() {
            if !job.reads_objects(asked) {
                continue;
            }
            if out.dict.fds.is_empty() {
                fds::reset(&mut out.dict.fds);
            }
            let mut refs = job.refs([Section::HotFds, Section::BulkFds][i]);
            let mut dict = self.frames.column(columns.fd_dict);
            let Dictionaries { strings, fds, .. } = &mut out.dict;
            // Entries may be there without their names, and those of the other family behind them.
            let mut behind = fds.split_off(fds.len().min(1 + before as usize));
            let count = job.head.counts.fds[i];
            let read = if job.need.intersects(asked.objects) {
                fds::read(&mut dict, count, &mut refs, strings, fds).and_then(|()| refs.finish())
            } else {
                fds::read_nameless(&mut dict, count, fds)
            };
            read.map_err(|m| m.in_column(columns.fd_dict))?;
            fds.extend(behind.drain(behind.len().min(count as usize)..));
        }
        if job.need.intersects(Need::OBJECTS_HOT) {
            self.hot_refs(job, out).map_err(|m| m.in_column(Column::HotFdRefs))?;
        }
        Ok(())
    }

    /// Which files the open objects are.
    fn files(&self, job: &Job<'_>, out: &mut Decoded) -> Result<(), BlockError> {
        let [hot, bulk] = job.head.counts.fds.map(|n| n as usize);
        let entries = [1..1 + hot, 1 + hot..1 + hot + bulk];
        for ((asked, columns, _), entries) in job.families().into_iter().zip(entries) {
            if job.reads_files(asked) {
                let mut files = self.frames.column(columns.fd_files);
                fds::read_files(&mut files, out.dict.fds.get_mut(entries).unwrap_or_default())
                    .map_err(|m| m.in_column(columns.fd_files))?;
            }
        }
        Ok(())
    }

    fn fds(&mut self, job: &Job<'_>, out: &mut Decoded) -> Result<(), BlockError> {
        if !job.need.intersects(Need::FD) {
            return Ok(());
        }
        out.fd.resize(out.len, 0);
        out.fd_num.resize(out.len, ABSENT);
        for (asked, columns, family) in job.families() {
            if job.need.intersects(asked.fd) {
                self.fd_nums(columns, family, out)?;
            }
        }
        if job.need.intersects(Need::FD_HOT) {
            let Decoded { kinds, fd, .. } = out;
            kinds
                .iter()
                .for_each(|kind| fd_refs::scatter(&kind.rows, &kind.fds, fd));
        }
        if job.need.intersects(Need::FD_BULK) {
            self.bulk_refs(job, out).map_err(|m| m.in_column(Column::BulkFdRefs))?;
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

    fn hot_refs(&self, job: &Job<'_>, out: &mut Decoded) -> Result<(), Malformed> {
        let mut cursor = self.frames.column(Column::HotFdRefs);
        let mut refs = FdRefs::new(1, job.head.counts.fds[0]);
        for (kind, columns) in job.head.kinds.iter().zip(&mut out.kinds).take(job.hot_kinds) {
            if fd_refs::read_presence(&mut cursor)? {
                fd_refs::read_hot_refs(&mut cursor, &mut refs, kind.events, &mut columns.fds)?;
            }
        }
        refs.finish()?;
        cursor.finish()
    }

    fn bulk_refs(&mut self, job: &Job<'_>, out: &mut Decoded) -> Result<(), Malformed> {
        let mut cursor = self.frames.column(Column::BulkFdRefs);
        let hot = out.kinds.iter().take(job.hot_kinds);
        let mut present: Vec<bool> = hot.map(|kind| !kind.fds.is_empty()).collect();
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
            let Decoded {
                dict,
                kinds,
                fd,
                fd_num,
                ..
            } = out;
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
                },
            };
            for kind in kinds.get_mut(family).unwrap_or_default() {
                let events = kind.events as usize;
                // Those of the hot family are known type by type.
                let of_event = if kind.spec.hot {
                    OfEvents::Each(&kind.fds)
                } else {
                    OfEvents::Rows(&kind.rows, fd, fd_num)
                };
                for param in &kind.spec.params {
                    let column = reader.read(param.kind, events, of_event, &mut self.pool)?;
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
    fn read(
        &mut self,
        kind: ParamKind,
        events: usize,
        fds: OfEvents<'_>,
        pool: &mut Pool,
    ) -> Result<ArgColumn, BlockError> {
        Ok(match kind {
            ParamKind::Path => {
                let mut values = pool.paths.pop().unwrap_or_default();
                self.fds
                    .read_paths(
                        [&mut self.paths, &mut self.raws],
                        &mut self.refs,
                        events,
                        fds,
                        &mut values,
                    )
                    .map_err(|m| m.in_column(self.columns.arg_paths))?;
                ArgColumn::Path(values)
            }
            kind if kind.is_num() => {
                let mut values = pool.nums.pop().unwrap_or_default();
                self.fds
                    .read_nums(&mut self.nums, events, fds, &mut values)
                    .map_err(|m| m.in_column(self.columns.arg_nums))?;
                ArgColumn::Num(values)
            }
            _ => {
                let mut values = pool.strs.pop().unwrap_or_default();
                args::read_strs(&mut self.strs, &mut self.refs, events, &mut values)
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
