//! Process images as a dictionary of a block.
//!
//! Images are coded field by field, each against an image that it most likely equals: the one before of the same
//! process, else its parent, else the entry before.

use hashbrown::{HashMap, HashTable};

use super::containers::{self, ContainerTable};
use super::decoded::{ImageEntry, StrId};
use super::fds::place_of;
use super::strings::{Interner, Numbering, Refs, StrRef};
use super::varint::{Cursor, Malformed, put, unzigzag, zigzag};
use super::{MAX_CONTAINERS, MAX_IMAGES};
use crate::container::Container;
use crate::process::ProcessImage;
use crate::scan::same_text;

/// The numbers of an image have no more bytes.
const IMAGE_WEIGHT: usize = 300;

/// How a number of an image is looked at and changed.
type Number = (fn(&ImageEntry) -> u64, fn(&mut ImageEntry, u64) -> Option<()>);
/// The same of a text.
type Text = (fn(&ImageEntry) -> StrId, fn(&mut ImageEntry) -> &mut StrId);

macro_rules! numbers {
    ($($($field:ident).+),+ $(,)?) => {
        /// The numbers in the order of the file, the container last. `pid` and `parent` come before them.
        const NUMBERS: [Number; 24] = [
            $((
                |image| u64::from(image.$($field).+),
                |image, v| { image.$($field).+ = v.try_into().ok()?; Some(()) },
            ),)+
            (container_code, set_container),
        ];

        /// The numbers of an image whose container has a code.
        fn numbers_of(image: &ProcessImage, container: u64) -> [u64; NUMBERS.len()] {
            [$(u64::from(image.$($field).+),)+ container]
        }
    };
}

macro_rules! texts {
    ($($field:ident),+ $(,)?) => {
        /// The strings in the order of the file.
        const TEXTS: [Text; 9] = [$((|image| image.$field, |image| &mut image.$field)),+];

        /// The same of an image that is to be added.
        fn texts_of(image: &ProcessImage) -> [&[u8]; TEXTS.len()] {
            [$(&image.$field),+]
        }
    };
}

numbers! {
    ppid,
    vpid,
    sid,
    pgid,
    tty,
    start_ts,
    exec_ts,
    uid,
    euid,
    gid,
    egid,
    loginuid,
    cap_permitted,
    cap_effective,
    cap_inheritable,
    exe_ino,
    exe_ctime,
    exe_mtime,
    exe_flags,
    namespaces.mnt,
    namespaces.pid,
    namespaces.net,
    namespaces.user,
}

texts! {
    name,
    exe_path,
    argv,
    env,
    cwd,
    cgroup,
    user,
    group,
    login_user,
}

fn container_code(image: &ImageEntry) -> u64 {
    code_of(image.container)
}

fn set_container(image: &mut ImageEntry, code: u64) -> Option<()> {
    image.container = match code.checked_sub(1) {
        None => None,
        Some(at) => Some(u32::try_from(at).ok()?),
    };
    Some(())
}

/// The code of an index that may be missing.
fn code_of(at: Option<u32>) -> u64 {
    at.map_or(0, |at| u64::from(at) + 1)
}

/// Codes of a string field.
mod text_code {
    pub(super) const SAME: u64 = 0;
    pub(super) const NEW: u64 = 1;
    pub(super) const KNOWN: u64 = 2;
}

/// What others are coded against, of an image that was added.
#[derive(Debug, Default)]
struct Row {
    numbers: [u64; NUMBERS.len()],
    texts: [StrId; TEXTS.len()],
}

/// The columns of the images that were added. What tells an image from its model is noted while both are in the processor's
/// caches; of what both have nothing is: programs that start are two images each, which mostly differ in a few fields.
#[derive(Debug, Default)]
struct Columns {
    /// The process id of the last image.
    last_pid: u32,
    pids: Vec<u8>,
    parents: Vec<u8>,
    /// Of each number the images where it differs, and its code.
    numbers: [Vec<(u32, u64)>; NUMBERS.len()],
    /// Of each text the same, and the text.
    texts: [Vec<(u32, StrId)>; TEXTS.len()],
}

/// The images of a block under construction, by [`ProcessImage::id`].
#[derive(Debug, Default)]
pub(super) struct ImageTable {
    /// Ids of different spaces are different, see [`ImageTable::enter`].
    space: u64,
    /// Ids and indices, see [`place_of`].
    index: HashTable<(u64, u32)>,
    rows: Vec<Row>,
    /// The last image of each process id.
    of_pid: HashMap<u32, u32>,
    columns: Columns,
    containers: ContainerTable,
    /// One of the dictionaries has grown large.
    large: bool,
}

impl ImageTable {
    /// Ids that follow are of this space: bits that they do not have themselves.
    pub(super) fn enter(&mut self, space: u64) {
        self.space = space;
    }

    /// An image's id with the bits of its space.
    #[inline]
    pub(super) fn spaced(&self, id: u64) -> u64 {
        id ^ self.space
    }

    /// The index of an image that is there already.
    pub(super) fn find(&self, id: u64) -> Option<u32> {
        let id = id ^ self.space;
        let found = self.index.find(place_of(id), |(known, _)| *known == id);
        found.map(|(_, at)| *at)
    }

    /// What adding an image that is not there yet would cost, with its missing ancestors.
    pub(super) fn cost(&self, image: &ProcessImage) -> ImageCost {
        let mut cost = ImageCost::default();
        let mut next = Some(image);
        while let Some(image) = next {
            cost.images += 1;
            cost.bytes += IMAGE_WEIGHT + texts_of(image).iter().map(|s| s.len() + 4).sum::<usize>();
            cost.container_bytes += image.container.as_ref().map_or(0, |c| self.containers.weight(c));
            next = image.parent.as_deref().filter(|above| self.find(above.id).is_none());
        }
        cost
    }

    /// Whether the block has room for that.
    pub(super) fn has_room(&self, cost: ImageCost) -> bool {
        self.rows.len() + cost.images <= MAX_IMAGES as usize
            && self.containers.list.len() + cost.images <= MAX_CONTAINERS as usize
            && self.containers.bytes.len() + cost.container_bytes <= containers::MAX_BYTES
    }

    /// Whether the block should end because one of the dictionaries has grown large.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.large
    }

    /// Adds an image that is not there yet, its missing ancestors first.
    pub(super) fn add(&mut self, image: &ProcessImage, strings: &mut Interner) -> u32 {
        let parent = image.parent.as_deref().map(|above| match self.find(above.id) {
            Some(at) => at,
            None => self.add_line(above, strings),
        });
        self.add_one(image, parent, strings)
    }

    /// The same for an image that others descend from: it and its ancestors are mostly there.
    #[cold]
    #[inline(never)]
    fn add_line(&mut self, image: &ProcessImage, strings: &mut Interner) -> u32 {
        let above = std::iter::successors(Some(image), |image| image.parent.as_deref());
        let missing: Vec<&ProcessImage> = above.take_while(|above| self.find(above.id).is_none()).collect();
        let first = missing.last().and_then(|first| first.parent.as_deref());
        let mut parent = first.and_then(|above| self.find(above.id));
        for image in missing.into_iter().rev() {
            parent = Some(self.add_one(image, parent, strings));
        }
        parent.unwrap_or_default()
    }

    /// Adds an image whose parent is there.
    fn add_one(&mut self, image: &ProcessImage, parent: Option<u32>, strings: &mut Interner) -> u32 {
        let container = image.container.as_ref().map(|c| self.containers.id(c));
        let row = |at: Option<u32>| self.rows.get(at? as usize);
        let texts = text_ids(image, row(parent), strings);
        let at = self.rows.len() as u32;
        let before = self.of_pid.insert(image.pid, at);
        let added = Row {
            numbers: numbers_of(image, code_of(container)),
            texts,
        };
        self.columns.add_place(at, image.pid, parent);
        match row(before.or(parent).or(at.checked_sub(1))) {
            Some(model) => self.columns.add(at, &added, model),
            None => self.columns.add(at, &added, &Row::default()),
        }
        self.rows.push(added);
        self.large = self.rows.len() >= MAX_IMAGES as usize / 4
            || self.containers.list.len() >= MAX_CONTAINERS as usize / 4
            || self.containers.bytes.len() >= containers::MAX_BYTES / 4;
        let id = image.id ^ self.space;
        self.index
            .insert_unique(place_of(id), (id, at), |(id, _)| place_of(*id));
        at
    }

    /// How many images there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The container of an image.
    pub(super) fn container_of(&self, image: u32) -> Option<&Container> {
        let code = *self.rows.get(image as usize)?.numbers.last()?;
        self.containers.list.get(code.checked_sub(1)? as usize).map(|c| &**c)
    }

    /// How many containers there are.
    pub(super) fn container_count(&self) -> usize {
        self.containers.list.len()
    }

    /// Appends the columns.
    pub(super) fn write(&self, images: &mut Vec<u8>, containers: &mut Vec<u8>, numbering: &mut Numbering) {
        containers.extend_from_slice(&self.containers.bytes);
        self.columns.write(self.rows.len() as u32, images, numbering);
    }

    pub(super) fn clear(&mut self) {
        self.index.clear();
        self.rows.clear();
        self.of_pid.clear();
        self.columns.clear();
        self.containers.clear();
        self.large = false;
    }
}

impl Columns {
    /// Adds whose an image is.
    fn add_place(&mut self, at: u32, pid: u32, parent: Option<u32>) {
        let step = i64::from(pid) - i64::from(self.last_pid);
        put(&mut self.pids, zigzag(step));
        self.last_pid = pid;
        put(&mut self.parents, parent.map_or(0, |parent| u64::from(at - parent)));
    }

    /// Adds what tells an image from its model.
    fn add(&mut self, at: u32, image: &Row, model: &Row) {
        for_each_other(&image.numbers, &model.numbers, |i, own, of_model| {
            self.numbers[i].push((at, zigzag(own.wrapping_sub(of_model) as i64)));
        });
        for_each_other(&image.texts, &model.texts, |i, own, _| self.texts[i].push((at, own)));
    }

    /// Appends the columns of `count` images.
    fn write(&self, count: u32, out: &mut Vec<u8>, numbering: &mut Numbering) {
        out.extend_from_slice(&self.pids);
        out.extend_from_slice(&self.parents);
        for column in &self.numbers {
            write_others(column, count, out, |code| code);
        }
        for column in &self.texts {
            write_others(column, count, out, |id| match numbering.refer(id) {
                StrRef::New => text_code::NEW,
                StrRef::Known(id) => u64::from(id) + text_code::KNOWN,
            });
        }
    }

    fn clear(&mut self) {
        self.last_pid = 0;
        self.pids.clear();
        self.parents.clear();
        self.numbers.iter_mut().for_each(Vec::clear);
        self.texts.iter_mut().for_each(Vec::clear);
    }
}

/// Calls `take` for each value that is another one than the model's. All are compared first: which they are the processor
/// cannot guess.
#[inline(always)]
fn for_each_other<T: Copy + PartialEq, const N: usize>(
    own: &[T; N],
    model: &[T; N],
    mut take: impl FnMut(usize, T, T),
) {
    let pairs = own.iter().zip(model).enumerate();
    let mut others = pairs.fold(0u32, |bits, (i, (own, of_model))| {
        bits | u32::from(own != of_model) << i
    });
    while others != 0 {
        let i = others.trailing_zeros() as usize;
        take(i, own[i], model[i]);
        others &= others - 1;
    }
}

/// Appends a column of `count` images, of which some have another value than their models.
fn write_others<T: Copy>(others: &[(u32, T)], count: u32, out: &mut Vec<u8>, mut code: impl FnMut(T) -> u64) {
    let mut written = 0;
    for (at, value) in others {
        same(out, at - written);
        put(out, code(*value));
        written = at + 1;
    }
    same(out, count - written);
}

/// Appends that `count` images have what their models have: the number and the code of the text for that are 0.
fn same(out: &mut Vec<u8>, count: u32) {
    out.resize(out.len() + count as usize, text_code::SAME as u8);
}

/// What an image and its ancestors would add to a block.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ImageCost {
    /// How many images.
    pub(super) images: usize,
    /// Bytes of their numbers and strings.
    pub(super) bytes: usize,
    /// Bytes of their containers.
    pub(super) container_bytes: usize,
}

/// The strings of an image, which are those of its parent where both say the same: comparing is quicker than looking up.
fn text_ids(image: &ProcessImage, parent: Option<&Row>, strings: &mut Interner) -> [StrId; TEXTS.len()] {
    let Some((above, of_above)) = image.parent.as_deref().zip(parent) else {
        return texts_of(image).map(|text| strings.known(text));
    };
    let mut ids = of_above.texts;
    for ((id, of_parent), text) in ids.iter_mut().zip(texts_of(above)).zip(texts_of(image)) {
        if !same_text(of_parent, text) {
            *id = strings.known(text);
        }
    }
    ids
}

/// Per image: the image that its fields are coded against, as index + 1; 0 for none.
fn models(entries: &[ImageEntry]) -> Vec<u32> {
    let mut of_pid: HashMap<u32, u32> = HashMap::with_capacity(entries.len());
    let mut models = Vec::with_capacity(entries.len());
    for (i, image) in entries.iter().enumerate() {
        let before = of_pid.insert(image.pid, i as u32);
        models.push(match before.or(image.parent) {
            Some(model) => model + 1,
            None => i as u32,
        });
    }
    models
}

/// Reads `count` images; `containers` is how many containers they may refer to.
pub(super) fn read(
    cursor: &mut Cursor<'_>,
    count: u32,
    containers: u32,
    refs: &mut Refs,
    out: &mut Vec<ImageEntry>,
) -> Result<(), Malformed> {
    out.clear();
    if cursor.len() < count as usize {
        return Err(Malformed::Truncated);
    }
    out.resize(count as usize, ImageEntry::default());
    let mut last = 0u64;
    for image in out.iter_mut() {
        last = last.wrapping_add(unzigzag(cursor.get()?) as u64);
        image.pid = u32::try_from(last).map_err(|_| Malformed::OutOfRange)?;
    }
    for (i, image) in out.iter_mut().enumerate() {
        image.parent = match cursor.get_u32()? {
            0 => None,
            back => Some((i as u32).checked_sub(back).ok_or(Malformed::UnknownId)?),
        };
    }
    let models = models(out);
    read_numbers(cursor, &models, out)?;
    if out.iter().any(|i| i.container.is_some_and(|c| c >= containers)) {
        return Err(Malformed::UnknownId);
    }
    read_texts(cursor, &models, refs, out)?;
    cursor.finish()
}

fn read_numbers(cursor: &mut Cursor<'_>, models: &[u32], out: &mut [ImageEntry]) -> Result<(), Malformed> {
    for (get, set) in &NUMBERS {
        for i in 0..out.len() {
            let step = unzigzag(cursor.get()?) as u64;
            let model = model_of(models, i).map_or(0, |m| get(&out[m]));
            set(&mut out[i], model.wrapping_add(step)).ok_or(Malformed::OutOfRange)?;
        }
    }
    Ok(())
}

fn read_texts(
    cursor: &mut Cursor<'_>,
    models: &[u32],
    refs: &mut Refs,
    out: &mut [ImageEntry],
) -> Result<(), Malformed> {
    for (get, slot) in &TEXTS {
        for i in 0..out.len() {
            let id = match cursor.get()? {
                text_code::SAME => model_of(models, i).map_or(StrId::NONE, |m| get(&out[m])),
                text_code::NEW => refs.fresh()?,
                id => refs.known(id - text_code::KNOWN)?,
            };
            *slot(&mut out[i]) = id;
        }
    }
    Ok(())
}

/// The index of an image's model, which is always smaller than the image's own.
fn model_of(models: &[u32], i: usize) -> Option<usize> {
    (models[i] as usize).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::block::strings::FIXED_IDS;

    /// The columns of entries, field by field.
    fn column_by_column(entries: &[ImageEntry]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut last = 0;
        for image in entries {
            put(&mut out, zigzag(i64::from(image.pid) - last));
            last = i64::from(image.pid);
        }
        for (at, image) in entries.iter().enumerate() {
            put(&mut out, image.parent.map_or(0, |parent| at as u64 - u64::from(parent)));
        }
        let models = models(entries);
        let none = ImageEntry::default();
        let pairs = || {
            let model = |at| model_of(&models, at).map_or(&none, |model| &entries[model]);
            entries.iter().enumerate().map(move |(at, image)| (image, model(at)))
        };
        for (get, _) in &NUMBERS {
            pairs().for_each(|(image, model)| put(&mut out, zigzag(get(image).wrapping_sub(get(model)) as i64)));
        }
        let mut next = FIXED_IDS;
        for (get, _) in &TEXTS {
            for (image, model) in pairs() {
                let id = get(image);
                let code = if id == get(model) {
                    text_code::SAME
                } else if id.0 == next {
                    next += 1;
                    text_code::NEW
                } else {
                    u64::from(id.0) + text_code::KNOWN
                };
                put(&mut out, code);
            }
        }
        out
    }

    /// Processes that start programs, some of them with ids that others had.
    fn images() -> Vec<Arc<ProcessImage>> {
        let mut images: Vec<Arc<ProcessImage>> = Vec::new();
        for id in 1..200u64 {
            let before = images.get((id as usize).wrapping_sub(2)).cloned();
            let is_exec = id % 3 == 0;
            let model = before.as_deref().cloned().unwrap_or_default();
            images.push(Arc::new(ProcessImage {
                id,
                pid: if is_exec {
                    model.pid
                } else {
                    70_000 - (id % 50) as u32 * 300
                },
                start_ts: if is_exec { model.start_ts } else { id << (id % 50) },
                exec_ts: if is_exec { u64::MAX - id } else { 0 },
                uid: (id / 40) as u32,
                exe_flags: (id % 4) as u8,
                name: format!("program {}", id % 7).into_bytes(),
                argv: if id % 5 == 0 {
                    Vec::new().into()
                } else {
                    format!("{id}").into_bytes().into()
                },
                cwd: b"/home".to_vec(),
                container: (id > 100).then(|| {
                    Arc::new(Container {
                        id: format!("{}", id / 60),
                        ..Container::default()
                    })
                }),
                parent: if is_exec {
                    model.parent
                } else {
                    before.filter(|_| id % 10 != 1)
                },
                ..ProcessImage::default()
            }));
        }
        images
    }

    #[test]
    fn what_is_noted_of_each_image_makes_the_columns() {
        let images = images();
        let (mut table, mut strings, mut numbering) =
            (ImageTable::default(), Interner::default(), Numbering::default());
        // Blocks of different lengths, and one without any.
        for some in [&images[..], &images[..1], &[], &images[20..60]] {
            for image in some {
                if table.find(image.id).is_none() {
                    table.add(image, &mut strings);
                }
            }
            numbering.start(strings.len());
            let (mut bytes, mut containers) = (Vec::new(), Vec::new());
            table.write(&mut bytes, &mut containers, &mut numbering);
            let (count, mut entries) = (table.len() as u32, Vec::new());
            let mut refs = Refs::new(FIXED_IDS, strings.len() as u32);
            let containers = table.container_count() as u32;
            assert_eq!(
                read(&mut Cursor::new(&bytes), count, containers, &mut refs, &mut entries),
                Ok(())
            );
            assert_eq!(bytes, column_by_column(&entries));
            let mut texts = BTreeMap::new();
            for image in some {
                let at = table.find(image.id).expect("it was added");
                let entry = &entries[at as usize];
                let parent = image
                    .parent
                    .as_ref()
                    .map(|above| table.find(above.id).expect("as well"));
                assert_eq!((entry.pid, entry.parent), (image.pid, parent));
                let container = table.container_of(at).map(|container| &container.id);
                assert_eq!(container, image.container.as_ref().map(|container| &container.id));
                let numbers = NUMBERS.map(|(get, _)| get(entry));
                assert_eq!(numbers, numbers_of(image, container_code(entry)));
                for ((get, _), text) in TEXTS.iter().zip(texts_of(image)) {
                    assert_eq!(*texts.entry(get(entry).0).or_insert(text), text);
                }
            }
            table.clear();
            strings.clear();
        }
    }
}
