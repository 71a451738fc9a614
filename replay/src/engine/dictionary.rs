//! Conditions over dictionary entries: all comparisons of an entry give a set of bits; entries with the same set are of
//! one class, and what the conditions say is computed once per class.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ctrace_trace::block::decoded::FdView;
use ctrace_trace::catalogue::Value;
use ctrace_trace::fd::FdKind;
use hashbrown::HashMap;

use super::evaluate::{Place, each_value, holds};
use super::mask;
use super::matcher::TextMatcher;
use crate::condition::Operator;
use crate::fields::FdPart;
use crate::typed::atom::{Atom, Extract, Right};
use crate::typed::formula::{AtomId, Formulas};
use crate::typed::test::{StrTest, Test};

/// Values whose bits are remembered, per group.
const MEMO_VALUES: usize = 1 << 14;
/// Longer values are not remembered.
const MEMO_BYTES: usize = 1 << 10;

/// The comparisons that are made of an entry.
#[derive(Debug)]
pub(super) struct Comparisons<'r> {
    groups: Vec<Group<'r>>,
    /// Comparisons of two fields, and those of two ends that want both.
    loose: Vec<(&'r Atom, u32)>,
}

/// All comparisons with what one expression yields.
#[derive(Debug)]
struct Group<'r> {
    left: &'r Extract,
    texts: TextMatcher<'r>,
    others: Vec<(&'r Test, u32)>,
    all: Vec<(&'r Test, u32)>,
    memo: Option<Memo>,
    part: FdPart,
    /// Whether the address of a socket may satisfy one of them.
    of_addresses: bool,
    /// For [`FdPart::Directory`]: the last directory, and the result for it. Files that are opened one after the other
    /// often lie together.
    directory: (Vec<u8>, Box<[u64]>),
    /// For [`FdPart::Kind`]: the result for each kind of object met so far.
    by_kind: BTreeMap<FdKind, Box<[u64]>>,
}

/// The bits of texts that were met before.
type Memo = HashMap<Box<[u8]>, Box<[u32]>>;

impl<'r> Comparisons<'r> {
    /// The comparisons of some atoms, whose bits are their positions in `placed`. With `memo`, the result for a text is
    /// remembered: for fields that take the same few values again and again.
    pub(super) fn new(
        formulas: &'r Formulas,
        placed: &[AtomId],
        wanted: impl Fn(u32) -> bool,
        memo: bool,
    ) -> Comparisons<'r> {
        let mut loose = Vec::new();
        let mut groups: BTreeMap<String, Group<'r>> = BTreeMap::new();
        for (bit, atom) in (0..).zip(placed).filter(|(bit, _)| wanted(*bit)) {
            let Some(atom) = formulas.atom_of(*atom) else { continue };
            match &atom.right {
                Right::Test(test) if !test.is_not_equal() => {
                    let group = groups.entry(format!("{:?}", atom.left)).or_insert_with(|| Group {
                        left: &atom.left,
                        texts: TextMatcher::default(),
                        others: Vec::new(),
                        all: Vec::new(),
                        memo: memo.then(HashMap::new),
                        part: part_of(&atom.left),
                        of_addresses: false,
                        directory: (Vec::new(), Box::default()),
                        by_kind: BTreeMap::new(),
                    });
                    group.add(test, bit);
                }
                _ => loose.push((atom, bit)),
            }
        }
        let mut groups: Vec<Group<'_>> = groups.into_values().collect();
        groups.iter_mut().for_each(|group| group.texts.finish());
        Comparisons { groups, loose }
    }

    /// Sets the bits of the comparisons that hold for an entry.
    pub(super) fn mark(&mut self, place: Place<'_>, out: &mut [u64]) {
        for group in &mut self.groups {
            group.mark(place, out);
        }
        for (atom, bit) in &self.loose {
            if holds(atom, place) {
                mask::set(out, *bit);
            }
        }
    }
}

impl<'r> Group<'r> {
    fn add(&mut self, test: &'r Test, bit: u32) {
        self.of_addresses |= test.as_text().is_none_or(may_be_address);
        match test.as_text() {
            Some(text) => self.texts.add(text, bit),
            None => self.others.push((test, bit)),
        }
        self.all.push((test, bit));
    }

    fn mark(&mut self, place: Place<'_>, out: &mut [u64]) {
        if let (FdPart::Name | FdPart::RawName | FdPart::Directory | FdPart::Filename, Place::Fd(fd)) =
            (self.part, place)
        {
            self.mark_path(fd, out);
            return;
        }
        match (self.part, place) {
            (FdPart::Socket, Place::Fd(fd)) if fd.entry.socket.is_none() => {}
            (FdPart::Kind, Place::Fd(fd)) => {
                if let Some(known) = self.by_kind.get(&fd.entry.kind) {
                    mask::add(out, known);
                    return;
                }
                let mut found = vec![0; out.len()];
                self.mark_values(place, &mut found);
                mask::add(out, &found);
                self.by_kind.insert(fd.entry.kind, found.into());
            }
            _ => self.mark_values(place, out),
        }
    }

    /// The comparisons of a path or a part of it, without a detour over values.
    fn mark_path(&mut self, fd: FdView<'_>, out: &mut [u64]) {
        let text = match (self.part, fd.entry.kind) {
            (FdPart::Name, _) if fd.entry.socket.is_some() => {
                // Writing addresses out costs more than all else, and conditions nearly always name paths.
                if self.of_addresses {
                    self.mark_values(Place::Fd(fd), out);
                }
                return;
            }
            (FdPart::Name, _) => fd.path(),
            (FdPart::RawName, FdKind::File | FdKind::Directory) => fd.path_raw(),
            (FdPart::Filename, FdKind::File) => split(fd.path()).1,
            (FdPart::Directory, FdKind::Directory) => fd.path(),
            (FdPart::Directory, FdKind::File) => split(fd.path()).0,
            _ => return,
        };
        if text.is_empty() {
            return;
        }
        let Group {
            texts,
            others,
            directory: (last, known),
            ..
        } = self;
        let value = Value::Str(Cow::Borrowed(text));
        if self.part != FdPart::Directory {
            mark_text(texts, others, text, &value, out);
            return;
        }
        if last != text {
            last.clear();
            last.extend_from_slice(text);
            let mut found = vec![0; out.len()];
            mark_text(texts, others, text, &value, &mut found);
            *known = found.into();
        }
        mask::add(out, known);
    }

    fn mark_values(&mut self, place: Place<'_>, out: &mut [u64]) {
        let Group {
            left,
            texts,
            others,
            all,
            memo,
            ..
        } = self;
        each_value(left, place, &mut |value| match (&value, &mut *memo) {
            (Value::Str(text), Some(memo)) if text.len() <= MEMO_BYTES => {
                if let Some(bits) = memo.get(text.as_ref()) {
                    bits.iter().for_each(|bit| mask::set(out, *bit));
                    return;
                }
                let mut found = vec![0; out.len()];
                mark_text(texts, others, text, &value, &mut found);
                if memo.len() >= MEMO_VALUES {
                    memo.clear();
                }
                memo.insert(text.as_ref().into(), mask::bits(&found).collect());
                mask::add(out, &found);
            }
            (Value::Str(text), _) => mark_text(texts, others, text, &value, out),
            _ => mark_each(all, &value, out),
        });
    }
}

/// Whether the name of an internet socket may satisfy a test: it is made of the
/// digits of addresses and ports and what stands between them.
fn may_be_address(test: &StrTest) -> bool {
    let fits = |text: &[u8]| text.iter().all(|b| b.is_ascii_hexdigit() || b":.->".contains(b));
    match test {
        StrTest::Compare(Operator::Eq | Operator::In | Operator::Intersects, text)
        | StrTest::StartsWith(text)
        | StrTest::EndsWith(text) => fits(text),
        StrTest::In(set) => set.iter().any(|text| fits(text)),
        StrTest::Contains(finder) => fits(finder.needle()),
        StrTest::Glob(glob) => fits(&glob.literal_start()) && fits(&glob.literal_part()),
        StrTest::Never => false,
        _ => true,
    }
}

/// A file's directory and name, as `fd.directory` and `fd.filename` have them.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memrchr(b'/', path) {
        Some(0) => (b"/", path.get(1..).unwrap_or_default()),
        Some(at) => path.split_at_checked(at).map_or((path, path), |(directory, rest)| {
            (directory, rest.get(1..).unwrap_or_default())
        }),
        None => (b"/", path),
    }
}

fn part_of(left: &Extract) -> FdPart {
    match left {
        Extract::Field(field) => field.fd_part(),
        _ => FdPart::Any,
    }
}

fn mark_text(texts: &TextMatcher<'_>, others: &[(&Test, u32)], text: &[u8], value: &Value<'_>, out: &mut [u64]) {
    texts.mark(text, out);
    mark_each(others, value, out);
}

fn mark_each(tests: &[(&Test, u32)], value: &Value<'_>, out: &mut [u64]) {
    for (test, bit) in tests {
        if test.holds(value) {
            mask::set(out, *bit);
        }
    }
}

/// The classes of entries met so far.
#[derive(Debug)]
pub(super) struct Classes {
    /// Words of a set of comparisons, and of a set of instances.
    bit_words: usize,
    mask_words: usize,
    by_bits: HashMap<Box<[u64]>, u32>,
    bits: Vec<u64>,
    masks: Vec<u64>,
    last: u32,
}

impl Classes {
    /// With class 0 for "no entry", of which no comparison holds.
    pub(super) fn new(comparisons: usize, mask_words: usize, mask: impl FnMut(&[u64], &mut [u64])) -> Classes {
        let bit_words = mask::words_for(comparisons);
        let mut classes = Classes {
            bit_words,
            mask_words,
            by_bits: HashMap::new(),
            bits: Vec::new(),
            masks: Vec::new(),
            last: 0,
        };
        classes.find(&vec![0; bit_words], mask);
        classes
    }

    pub(super) fn len(&self) -> usize {
        self.by_bits.len()
    }

    /// The class of a set of comparisons that hold; `mask` computes what a new class means for the instances.
    pub(super) fn find(&mut self, bits: &[u64], mut mask: impl FnMut(&[u64], &mut [u64])) -> u32 {
        if !self.by_bits.is_empty() && self.bits(self.last).iter().eq(bits) {
            return self.last;
        }
        let next = self.by_bits.len() as u32;
        self.last = match self.by_bits.get(bits) {
            Some(class) => *class,
            None => {
                self.by_bits.insert(bits.into(), next);
                self.bits.extend_from_slice(bits);
                let start = self.masks.len();
                self.masks.resize(start + self.mask_words, 0);
                if let Some(new) = self.masks.get_mut(start..) {
                    mask(bits, new);
                }
                next
            }
        };
        self.last
    }

    /// The comparisons that hold for the entries of a class.
    pub(super) fn bits(&self, class: u32) -> &[u64] {
        part(&self.bits, class, self.bit_words)
    }

    /// The instances that the entries of a class allow.
    pub(super) fn mask(&self, class: u32) -> &[u64] {
        part(&self.masks, class, self.mask_words)
    }
}

fn part(words: &[u64], index: u32, width: usize) -> &[u64] {
    let start = index as usize * width;
    words.get(start..start + width).unwrap_or(&[])
}
