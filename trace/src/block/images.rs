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

/// An image and the one that it is coded against.
type Pair<'a> = (&'a ImageEntry, &'a ImageEntry);
/// How a number is looked at, changed, and written of all images: a loop for each number, as programs that start are two
/// images each and calls through pointers would take most of the time.
type Number = (
    fn(&ImageEntry) -> u64,
    fn(&mut ImageEntry, u64) -> Option<()>,
    fn(&[Pair<'_>], &mut Vec<u8>),
);
/// The same of a text.
type Text = (
    fn(&ImageEntry) -> StrId,
    fn(&mut ImageEntry) -> &mut StrId,
    fn(&[Pair<'_>], &mut Vec<u8>, &mut Numbering),
);

macro_rules! number {
    ($($field:ident).+) => {
        (
            |image| u64::from(image.$($field).+),
            |image, v| { image.$($field).+ = v.try_into().ok()?; Some(()) },
            |pairs, out| write_number(pairs, out, |image| u64::from(image.$($field).+)),
        )
    };
}

macro_rules! text {
    ($field:ident) => {
        (
            |image| image.$field,
            |image| &mut image.$field,
            |pairs, out, numbering| write_text(pairs, out, numbering, |image| image.$field),
        )
    };
}

/// The numbers in the order of the file, the container last. `pid` and `parent` come before them.
const NUMBERS: [Number; 24] = [
    number!(ppid),
    number!(vpid),
    number!(sid),
    number!(pgid),
    number!(tty),
    number!(start_ts),
    number!(exec_ts),
    number!(uid),
    number!(euid),
    number!(gid),
    number!(egid),
    number!(loginuid),
    number!(cap_permitted),
    number!(cap_effective),
    number!(cap_inheritable),
    number!(exe_ino),
    number!(exe_ctime),
    number!(exe_mtime),
    number!(exe_flags),
    number!(namespaces.mnt),
    number!(namespaces.pid),
    number!(namespaces.net),
    number!(namespaces.user),
    (
        container_code,
        |image, v| {
            image.container = match v {
                0 => None,
                v => Some(u32::try_from(v - 1).ok()?),
            };
            Some(())
        },
        |pairs, out| write_number(pairs, out, container_code),
    ),
];

/// The strings in the order of the file.
const TEXTS: [Text; 9] = [
    text!(name),
    text!(exe_path),
    text!(argv),
    text!(env),
    text!(cwd),
    text!(cgroup),
    text!(user),
    text!(group),
    text!(login_user),
];

fn container_code(image: &ImageEntry) -> u64 {
    image.container.map_or(0, |c| u64::from(c) + 1)
}

/// Codes of a string field.
mod text_code {
    pub(super) const SAME: u64 = 0;
    pub(super) const NEW: u64 = 1;
    pub(super) const KNOWN: u64 = 2;
}

/// The images of a block under construction, by [`ProcessImage::id`].
#[derive(Debug, Default)]
pub(super) struct ImageTable {
    /// Ids of different spaces are different, see [`ImageTable::enter`].
    space: u64,
    /// Ids and indices, see [`place_of`].
    index: HashTable<(u64, u32)>,
    entries: Vec<ImageEntry>,
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
        self.entries.len() + cost.images <= MAX_IMAGES as usize
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
        let like = parent.and_then(|at| self.entries.get(at as usize));
        let entry = entry(image, (parent, like), container, strings);
        let at = self.entries.len() as u32;
        self.entries.push(entry);
        self.large = self.entries.len() >= MAX_IMAGES as usize / 4
            || self.containers.list.len() >= MAX_CONTAINERS as usize / 4
            || self.containers.bytes.len() >= containers::MAX_BYTES / 4;
        let id = image.id ^ self.space;
        self.index
            .insert_unique(place_of(id), (id, at), |(id, _)| place_of(*id));
        at
    }

    /// How many images there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The container of an image.
    pub(super) fn container_of(&self, image: u32) -> Option<&Container> {
        let at = self.entries.get(image as usize)?.container?;
        self.containers.list.get(at as usize).map(|c| &**c)
    }

    /// How many containers there are.
    pub(super) fn container_count(&self) -> usize {
        self.containers.list.len()
    }

    /// Appends the columns.
    pub(super) fn write(&self, images: &mut Vec<u8>, containers: &mut Vec<u8>, numbering: &mut Numbering) {
        containers.extend_from_slice(&self.containers.bytes);
        write(&self.entries, images, numbering);
    }

    pub(super) fn clear(&mut self) {
        self.index.clear();
        self.entries.clear();
        self.containers.clear();
        self.large = false;
    }
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

fn texts_of(image: &ProcessImage) -> [&Vec<u8>; 9] {
    [
        &image.name,
        &image.exe_path,
        &image.argv,
        &image.env,
        &image.cwd,
        &image.cgroup,
        &image.user,
        &image.group,
        &image.login_user,
    ]
}

/// The same of an entry, in the same order.
fn ids_of(image: &ImageEntry) -> [StrId; 9] {
    TEXTS.map(|(get, ..)| get(image))
}

/// The entry of an image, which has the texts of its parent's where both say the same: comparing is quicker than looking
/// up.
fn entry(
    image: &ProcessImage,
    (parent, like): (Option<u32>, Option<&ImageEntry>),
    container: Option<u32>,
    strings: &mut Interner,
) -> ImageEntry {
    let texts = match image.parent.as_deref().zip(like) {
        Some((above, like)) => {
            let mut ids = ids_of(like);
            for ((id, of_parent), text) in ids.iter_mut().zip(texts_of(above)).zip(texts_of(image)) {
                if !same_text(of_parent, text) {
                    *id = strings.known(text);
                }
            }
            ids
        }
        None => texts_of(image).map(|text| strings.known(text)),
    };
    let [name, exe_path, argv, env, cwd, cgroup, user, group, login_user] = texts;
    ImageEntry {
        pid: image.pid,
        ppid: image.ppid,
        vpid: image.vpid,
        sid: image.sid,
        pgid: image.pgid,
        tty: image.tty,
        start_ts: image.start_ts,
        exec_ts: image.exec_ts,
        name,
        exe_path,
        argv,
        env,
        cwd,
        cgroup,
        uid: image.uid,
        euid: image.euid,
        gid: image.gid,
        egid: image.egid,
        loginuid: image.loginuid,
        user,
        group,
        login_user,
        cap_permitted: image.cap_permitted,
        cap_effective: image.cap_effective,
        cap_inheritable: image.cap_inheritable,
        exe_ino: image.exe_ino,
        exe_ctime: image.exe_ctime,
        exe_mtime: image.exe_mtime,
        exe_flags: image.exe_flags,
        namespaces: image.namespaces,
        container,
        parent,
    }
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

fn write(entries: &[ImageEntry], out: &mut Vec<u8>, numbering: &mut Numbering) {
    let mut last = 0u64;
    for image in entries {
        put(out, zigzag(u64::from(image.pid).wrapping_sub(last) as i64));
        last = u64::from(image.pid);
    }
    for (i, image) in entries.iter().enumerate() {
        put(out, image.parent.map_or(0, |p| i as u64 - u64::from(p)));
    }
    let models = models(entries);
    let none = ImageEntry::default();
    let model = |m: &u32| match *m {
        0 => &none,
        m => &entries[m as usize - 1],
    };
    let pairs: Vec<Pair<'_>> = entries.iter().zip(models.iter().map(model)).collect();
    NUMBERS.iter().for_each(|(_, _, write)| write(&pairs, out));
    TEXTS.iter().for_each(|(_, _, write)| write(&pairs, out, numbering));
}

#[inline(always)]
fn write_number(pairs: &[Pair<'_>], out: &mut Vec<u8>, get: impl Fn(&ImageEntry) -> u64) {
    out.reserve(pairs.len());
    for (image, model) in pairs {
        put(out, zigzag(get(image).wrapping_sub(get(model)) as i64));
    }
}

#[inline(always)]
fn write_text(pairs: &[Pair<'_>], out: &mut Vec<u8>, numbering: &mut Numbering, get: impl Fn(&ImageEntry) -> StrId) {
    out.reserve(pairs.len());
    for (image, model) in pairs {
        let id = get(image);
        if id == get(model) {
            put(out, text_code::SAME);
            continue;
        }
        match numbering.refer(id) {
            StrRef::New => put(out, text_code::NEW),
            StrRef::Known(id) => put(out, u64::from(id) + text_code::KNOWN),
        }
    }
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
    for (get, set, _) in &NUMBERS {
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
    for (get, slot, _) in &TEXTS {
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
