//! Coding the columns of a block whose events are complete.

use std::collections::BTreeSet;

use super::args::{self, ArgBuffer, PathWriter};
use super::encode::{Content, KindBuffer};
use super::fd_refs::{self, FdNumbering, FdPrediction};
use super::fds;
use super::frame::{BULK, Column, ColumnBuffers, Compressor, FamilyColumns, HOT};
use super::head::{BlockHead, DictCounts, KindCount, LAYOUT};
use super::plan::ORIGINS;
use super::strings::{Numbering, Section};
use super::{contexts, kinds, time};

/// So many containers are listed in a block's head.
const LISTED_CONTAINERS: usize = 8;

/// Memory that coding needs, kept between blocks.
#[derive(Debug, Default)]
pub(super) struct Coder {
    columns: ColumnBuffers,
    strings: Numbering,
    fds: FdNumbering,
    fd_fields: fds::Fields,
    prediction: FdPrediction,
    order: kinds::ThreadOrder,
    cpus: contexts::CpuCoder,
    numbers: Vec<i64>,
    /// Per kind buffer: its position in the head's list.
    local: Vec<u16>,
    /// Per kind buffer: its next event, while events are walked in their order.
    next: Vec<u32>,
}

/// The event types of a block in the order of the head's list.
struct Families<'a> {
    /// With the index of the kind buffer.
    hot: Vec<(usize, &'a KindBuffer)>,
    bulk: Vec<(usize, &'a KindBuffer)>,
}

impl<'a> Families<'a> {
    fn of(content: &'a Content) -> Families<'a> {
        let mut present: Vec<_> = content.kinds.list.iter().enumerate().collect();
        present.retain(|(_, kind)| !kind.rets.is_empty());
        present.sort_by_key(|(_, kind)| kind.spec.id);
        let (hot, bulk) = present.into_iter().partition(|(_, kind)| kind.spec.hot);
        Families { hot, bulk }
    }

    fn all(&self) -> impl Iterator<Item = &(usize, &'a KindBuffer)> {
        self.hot.iter().chain(&self.bulk)
    }
}

impl Coder {
    /// Codes everything. The head lacks only what the content does not know: `first_seq` and `prev`.
    pub(super) fn code(&mut self, content: &Content, compressor: &mut Compressor) -> (BlockHead, Vec<u8>) {
        let families = Families::of(content);
        self.columns.clear();
        self.strings.start(content.strings.len());
        self.fds.start(content.fds.entries().len());
        self.prediction.start(content.contexts.list().len());
        let mut counts = DictCounts {
            contexts: content.contexts.list().len() as u32,
            images: content.images.len() as u32,
            containers: content.images.container_count() as u32,
            ..DictCounts::default()
        };
        self.rows(content, &families);
        self.images(content, &mut counts);
        self.hot_refs(&families.hot);
        self.family(
            content,
            &families.hot,
            HOT,
            [Section::HotFds, Section::HotArgs],
            &mut counts,
        );
        self.bulk_refs(content, &families);
        self.family(
            content,
            &families.bulk,
            BULK,
            [Section::BulkFds, Section::BulkArgs],
            &mut counts,
        );
        let (frames, body, frames_digest) = self.columns.pack(compressor);
        let (min_ts, max_ts) = content.times.range().unwrap_or((0, 0));
        let acted = Acted::of(content);
        let head = BlockHead {
            layout: LAYOUT,
            events: content.rows.len() as u32,
            first_seq: 0,
            min_ts,
            max_ts,
            base_ts: content.times.base(),
            ts_sorted: content.times.is_sorted(),
            kinds: kind_counts(&families),
            counts,
            sources: families.all().fold(0, |bits, (_, k)| bits | 1 << k.spec.source as u8),
            outside_containers: acted.outside,
            container_ids: acted.listed(),
            frames,
            frames_digest,
            prev: [0; 32],
        };
        (head, body)
    }

    /// What is stored per event, whatever its type.
    fn rows(&mut self, content: &Content, families: &Families<'_>) {
        self.local.clear();
        self.local.resize(content.kinds.list.len(), 0);
        for (local, (buffer, _)) in families.all().enumerate() {
            self.local[*buffer] = local as u16;
        }
        let local = &self.local;
        let rows = &content.rows;
        let kinds = rows.iter().map(|row| (local[row.kind as usize], row.context));

        let threads = content.contexts.list();
        let mut events = vec![0; threads.len()];
        rows.iter().for_each(|row| events[row.context as usize] += 1);
        let ends: Vec<u32> = events
            .iter()
            .scan(0, |end, n| {
                *end += n;
                Some(*end)
            })
            .collect();
        self.order.start(&ends);
        let column = self.columns.get(Column::Kinds);
        kinds::write(kinds, &mut self.order, families.all().count(), column);
        contexts::write(threads, &events, self.columns.get(Column::Contexts));
        let [cpus, switches] = self.columns.get_many([Column::Cpus, Column::Switches]);
        self.cpus.write(rows, cpus, switches);

        let [low, middle, high, escapes] =
            self.columns
                .get_many([Column::TsLow, Column::TsMiddle, Column::TsHigh, Column::TsEscapes]);
        time::write(rows.iter().map(|row| row.step), [low, middle, high]);
        escapes.extend_from_slice(content.times.escapes());

        let [lens, bytes] = self.columns.get_many([Column::DataLens, Column::DataBytes]);
        content.data.write(lens, bytes);
        content.origins.write(rows.len(), self.columns.get_many(ORIGINS));
        let column = self.columns.get(Column::Latencies);
        content.latencies.write(rows.len(), &mut self.numbers, column);
    }

    fn images(&mut self, content: &Content, counts: &mut DictCounts) {
        let [images, containers, lens, text] =
            self.columns
                .get_many([Column::Images, Column::Containers, Column::ImageLens, Column::ImageText]);
        content.images.write(images, containers, &mut self.strings);
        counts.strings[Section::Images as usize] = self.strings.finish_section(&content.strings, lens, text);
    }

    fn hot_refs(&mut self, family: &[(usize, &KindBuffer)]) {
        let out = self.columns.get(Column::HotFdRefs);
        for (_, kind) in family {
            let present = fd_refs::any(&kind.fds);
            fd_refs::write_presence(present, out);
            if present {
                fd_refs::write_hot_refs(&kind.fds, &mut self.fds, out);
            }
        }
    }

    /// References of the bulk family in the order of events, predicted by what the thread did before in either family.
    fn bulk_refs(&mut self, content: &Content, families: &Families<'_>) {
        let out = self.columns.get(Column::BulkFdRefs);
        for (_, kind) in &families.bulk {
            fd_refs::write_presence(fd_refs::any(&kind.fds), out);
        }
        let list = &content.kinds.list;
        // A type without references stays at the end of its events, so that it is passed over.
        self.next.clear();
        self.next.extend(
            list.iter()
                .map(|k| if fd_refs::any(&k.fds) { 0 } else { k.fds.len() as u32 }),
        );
        for row in &content.rows {
            let buffer = &list[row.kind as usize];
            let next = &mut self.next[row.kind as usize];
            let at = *next as usize;
            let (Some(fd), Some(num)) = (buffer.fds.get(at), buffer.fd_nums.get(at)) else {
                continue;
            };
            *next += 1;
            let Some(slot) = self.prediction.slot(row.context, num) else {
                continue;
            };
            if buffer.spec.hot {
                fd_refs::observe(slot, *fd, &self.fds);
            } else {
                fd_refs::write_bulk_ref(slot, *fd, &mut self.fds, out);
            }
        }
    }

    /// What a family stores per event type, its open objects, and the strings of both. References to open objects must
    /// have been coded before.
    fn family(
        &mut self,
        content: &Content,
        family: &[(usize, &KindBuffer)],
        columns: FamilyColumns,
        [fd_section, arg_section]: [Section; 2],
        counts: &mut DictCounts,
    ) {
        let [rets, nums] = self.columns.get_many([columns.rets, columns.fd_nums]);
        for (_, kind) in family {
            kind.rets.write(rets, false);
            args::write_fd_nums(
                &kind.fd_nums,
                &kind.rets,
                kind.spec.ret_is_fd(),
                &mut self.numbers,
                nums,
            );
        }
        let [dict, files, lens, text] =
            self.columns
                .get_many([columns.fd_dict, columns.fd_files, columns.fd_lens, columns.fd_text]);
        let section = self.fds.take_section();
        counts.fds[usize::from(fd_section == Section::BulkFds)] = section.len() as u32;
        fds::write(
            content.fds.entries(),
            section,
            &content.strings,
            &mut self.strings,
            &mut self.fd_fields,
            [dict, files],
        );
        counts.strings[fd_section as usize] = self.strings.finish_section(&content.strings, lens, text);

        self.args(content, family, columns);
        let [lens, text] = self.columns.get_many([columns.arg_lens, columns.arg_text]);
        counts.strings[arg_section as usize] = self.strings.finish_section(&content.strings, lens, text);
    }

    fn args(&mut self, content: &Content, family: &[(usize, &KindBuffer)], columns: FamilyColumns) {
        let [nums, strs, paths, raws] =
            self.columns
                .get_many([columns.arg_nums, columns.arg_strs, columns.arg_paths, columns.arg_raws]);
        for (_, kind) in family {
            let before = args::Before {
                of_event: &kind.fds,
                fds: content.fds.entries(),
                // Arguments of the hot family are read without.
                fd_nums: (!kind.spec.hot).then_some(&kind.fd_nums),
            };
            for arg in &kind.args {
                match arg {
                    ArgBuffer::Num { delta, values } => args::write_nums(values, *delta, before, nums),
                    ArgBuffer::Str(ids) => args::write_strs(ids, &mut self.strings, strs),
                    ArgBuffer::Path(values) => PathWriter {
                        interner: &content.strings,
                        numbering: &mut self.strings,
                        fds: content.fds.entries(),
                    }
                    .write(values, &kind.fds, paths, raws),
                }
            }
        }
    }
}

fn kind_counts(families: &Families<'_>) -> Vec<KindCount> {
    let count = |(_, kind): &(usize, &KindBuffer)| KindCount {
        id: kind.spec.id,
        events: kind.rets.len() as u32,
    };
    families.all().map(count).collect()
}

/// Where the images that acted ran.
struct Acted {
    containers: BTreeSet<String>,
    outside: bool,
}

impl Acted {
    fn of(content: &Content) -> Acted {
        let mut acted = Acted {
            containers: BTreeSet::new(),
            outside: false,
        };
        for context in content.contexts.list() {
            match context.image.and_then(|image| content.images.container_of(image)) {
                Some(c) if acted.containers.len() <= LISTED_CONTAINERS && !acted.containers.contains(c.short_id()) => {
                    acted.containers.insert(c.short_id().to_owned());
                }
                Some(_) => (),
                None => acted.outside = true,
            }
        }
        acted
    }

    fn listed(self) -> Option<Vec<String>> {
        (self.containers.len() <= LISTED_CONTAINERS).then(|| self.containers.into_iter().collect())
    }
}
