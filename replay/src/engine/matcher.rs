//! Many comparisons of one value at once: equal texts by one look-up, beginnings and ends by their first or last eight
//! bytes, the rest one by one.

use std::borrow::Cow;

use aho_corasick::packed::Searcher;
use hashbrown::HashMap;
use memchr::memmem::Finder;

use super::mask;
use crate::condition::Operator;
use crate::typed::glob::Glob;
use crate::typed::test::StrTest;

/// Comparisons of texts; each has the number of a bit.
#[derive(Debug, Default)]
pub(super) struct TextMatcher<'r> {
    equal: Equal<'r>,
    starts: Vec<Edge<'r>>,
    ends: Vec<Edge<'r>>,
    /// The last bytes of these, as a set.
    last: [u64; 4],
    globs: Vec<(Edge<'r>, &'r Glob)>,
    inner: Inner<'r>,
    /// Texts in lower case, to be found in a text in lower case.
    folded: Inner<'r>,
    rest: Vec<(&'r StrTest, u32)>,
}

impl<'r> TextMatcher<'r> {
    pub(super) fn add(&mut self, test: &'r StrTest, bit: u32) {
        match test {
            StrTest::Compare(Operator::Eq | Operator::In | Operator::Intersects, text) => self.equal.add(text, bit),
            StrTest::In(set) => set.iter().for_each(|text| self.equal.add(text, bit)),
            StrTest::StartsWith(text) => self.starts.push(Edge::start(text.as_ref().into(), bit)),
            StrTest::EndsWith(text) => {
                match text.last() {
                    Some(last) => mask::set(&mut self.last, u32::from(*last)),
                    None => self.last = [u64::MAX; 4],
                }
                self.ends.push(Edge::end(text, bit));
            }
            StrTest::Contains(finder) => self.inner.add(finder.needle().into(), Within::Finder(finder), bit),
            StrTest::IContains(needle) => {
                self.folded.add(needle.as_ref().into(), Within::Bytes(needle), bit);
            }
            StrTest::Glob(glob) => match (glob.literal_start(), glob.literal_part()) {
                (start, part) if start.is_empty() && !part.is_empty() => {
                    self.inner.add(part.into(), Within::Glob(glob), bit);
                }
                (start, _) => self.globs.push((Edge::start(start.into(), bit), glob)),
            },
            StrTest::Never => {}
            other => self.rest.push((other, bit)),
        }
    }

    /// To be called when all comparisons are there.
    pub(super) fn finish(&mut self) {
        self.inner.gate = self.inner.gate();
        self.folded.gate = self.folded.gate();
    }

    /// Sets the bits of the comparisons that hold.
    pub(super) fn mark(&self, text: &[u8], out: &mut [u64]) {
        self.equal.mark(text, out);
        if !self.starts.is_empty() || !self.globs.is_empty() {
            let word = first_word(text);
            for edge in self.starts.iter().filter(|e| e.begins(text, word)) {
                mask::set(out, edge.bit);
            }
            for (edge, _) in self
                .globs
                .iter()
                .filter(|(e, glob)| e.begins(text, word) && glob.matches(text))
            {
                mask::set(out, edge.bit);
            }
        }
        if mask::has(&self.last, last_byte(text) as u32) {
            let word = last_word(text);
            for edge in self.ends.iter().filter(|e| e.ends(text, word)) {
                mask::set(out, edge.bit);
            }
        }
        self.inner.mark(text, out);
        if !self.folded.tests.is_empty() {
            self.folded.mark(&text.to_ascii_lowercase(), out);
        }
        for (test, bit) in &self.rest {
            if test.holds(text) {
                mask::set(out, *bit);
            }
        }
    }
}

/// Texts to be equal to.
#[derive(Debug, Default)]
struct Equal<'r> {
    by_text: HashMap<&'r [u8], Vec<u32>>,
    /// For each last byte the lengths that there are, modulo 64: most texts need no look-up.
    by_last: Vec<u64>,
}

impl<'r> Equal<'r> {
    fn add(&mut self, text: &'r [u8], bit: u32) {
        self.by_text.entry(text).or_default().push(bit);
        self.by_last.resize(256, 0);
        if let Some(lengths) = self.by_last.get_mut(last_byte(text)) {
            *lengths |= 1 << (text.len() % 64);
        }
    }

    fn mark(&self, text: &[u8], out: &mut [u64]) {
        let lengths = self.by_last.get(last_byte(text)).copied().unwrap_or(0);
        if lengths >> (text.len() % 64) & 1 == 1
            && let Some(bits) = self.by_text.get(text)
        {
            bits.iter().for_each(|bit| mask::set(out, *bit));
        }
    }
}

fn last_byte(text: &[u8]) -> usize {
    text.last().map_or(0, |b| usize::from(*b))
}

/// Texts to be found anywhere.
#[derive(Debug, Default)]
struct Inner<'r> {
    /// With each the letters of its needle.
    tests: Vec<(Letters, Within<'r>, u32)>,
    needles: Vec<Cow<'r, [u8]>>,
    /// Finds whether any of the needles is there; `None` where it cannot be built (an empty needle).
    gate: Option<Searcher>,
}

#[derive(Debug)]
enum Within<'r> {
    Finder(&'r Finder<'static>),
    Bytes(&'r [u8]),
    /// A pattern that holds one of the needles.
    Glob(&'r Glob),
}

impl<'r> Inner<'r> {
    fn add(&mut self, needle: Cow<'r, [u8]>, test: Within<'r>, bit: u32) {
        self.tests.push((Letters::of(&needle), test, bit));
        self.needles.push(needle);
    }

    fn gate(&self) -> Option<Searcher> {
        let worthwhile = self.needles.len() > 1 && self.needles.iter().all(|n| !n.is_empty());
        worthwhile.then(|| Searcher::new(&self.needles)).flatten()
    }

    fn mark(&self, text: &[u8], out: &mut [u64]) {
        if self.tests.is_empty() {
            return;
        }
        let letters = if text.len() <= SHORT {
            Letters::of(text)
        } else {
            Letters::ALL
        };
        if text.len() > SHORT && self.gate.as_ref().is_some_and(|gate| gate.find(text).is_none()) {
            return;
        }
        for (needed, test, bit) in &self.tests {
            let holds = letters.include(*needed)
                && match test {
                    Within::Finder(finder) => finder.find(text).is_some(),
                    Within::Bytes(needle) => memchr::memmem::find(text, needle).is_some(),
                    Within::Glob(glob) => glob.matches(text),
                };
            if holds {
                mask::set(out, *bit);
            }
        }
    }
}

/// Up to this length it is cheaper to look which letters a text has than to search it.
const SHORT: usize = 32;

/// Which letters a text has, some taken for the same.
#[derive(Clone, Copy, Debug)]
struct Letters(u64);

impl Letters {
    const ALL: Letters = Letters(u64::MAX);

    #[inline]
    fn of(text: &[u8]) -> Letters {
        Letters(text.iter().fold(0, |set, b| set | 1 << (b & 63)))
    }

    #[inline]
    fn include(self, other: Letters) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A beginning or end to look for: its eight bytes at the edge, and all of it.
#[derive(Debug)]
pub(super) struct Edge<'r> {
    word: u64,
    mask: u64,
    text: Cow<'r, [u8]>,
    bit: u32,
}

impl<'r> Edge<'r> {
    fn start(text: Cow<'r, [u8]>, bit: u32) -> Edge<'r> {
        let word = first_word(&text);
        let mask = first_word(FULL.get(..text.len().min(8)).unwrap_or(&FULL));
        Edge { word, mask, text, bit }
    }

    pub(super) fn end(text: &'r [u8], bit: u32) -> Edge<'r> {
        let word = last_word(text);
        let mask = last_word(FULL.get(..text.len().min(8)).unwrap_or(&FULL));
        Edge {
            word,
            mask,
            text: text.into(),
            bit,
        }
    }

    /// Whether `text`, whose first word is given, begins with it.
    fn begins(&self, text: &[u8], word: u64) -> bool {
        word & self.mask == self.word
            && text.len() >= self.text.len()
            && (self.text.len() <= 8 || text.starts_with(&self.text))
    }

    /// Whether `text`, whose last word is given, ends with it.
    pub(super) fn ends(&self, text: &[u8], word: u64) -> bool {
        word & self.mask == self.word
            && text.len() >= self.text.len()
            && (self.text.len() <= 8 || text.ends_with(&self.text))
    }
}

const FULL: [u8; 8] = [0xff; 8];

/// The first eight bytes, zeros behind a shorter text.
fn first_word(text: &[u8]) -> u64 {
    match text.first_chunk::<8>() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => text.iter().rev().fold(0, |word, b| word << 8 | u64::from(*b)),
    }
}

/// The last eight bytes, zeros before a shorter text.
pub(super) fn last_word(text: &[u8]) -> u64 {
    match text.last_chunk::<8>() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => text.iter().fold(0, |word, b| word << 8 | u64::from(*b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_each_test_alone() {
        let finder = |n: &str| StrTest::Contains(Box::new(Finder::new(n.as_bytes()).into_owned()));
        let tests = [
            StrTest::StartsWith((*b"/etc").into()),
            StrTest::StartsWith((*b"/etc/passwd-").into()),
            StrTest::StartsWith((*b"").into()),
            StrTest::EndsWith((*b"d").into()),
            StrTest::EndsWith((*b"/etc/shadow").into()),
            StrTest::Compare(Operator::Eq, (*b"/etc").into()),
            StrTest::Compare(Operator::Ne, (*b"/etc").into()),
            StrTest::In([(*b"a").into(), (*b"/etc/passwd").into()].into()),
            StrTest::Glob(Glob::new(b"/etc/*d", false).unwrap()),
            StrTest::Glob(Glob::new(b"/ETC/*", true).unwrap()),
            StrTest::Glob(Glob::new(b"*ss*d", false).unwrap()),
            StrTest::Glob(Glob::new(b"*", false).unwrap()),
            finder("pass"),
            finder("/etc/pa"),
            StrTest::IContains((*b"passwd").into()),
            StrTest::IContains((*b"c/").into()),
            StrTest::IContains((*b"").into()),
        ];
        agree(&tests);
        agree(&[finder(""), finder("pass")]);
    }

    fn agree(tests: &[StrTest]) {
        let mut matcher = TextMatcher::default();
        tests.iter().zip(0..).for_each(|(t, bit)| matcher.add(t, bit));
        matcher.finish();
        for text in [
            "",
            "a",
            "/etc",
            "/etc\0",
            "/etc/passwd",
            "/etc/passwd-",
            "/etc/shadow",
            "/ETC/Passwd and more than a few letters behind it",
            "d",
            "\0\0\0/etc",
        ] {
            let mut out = [0];
            matcher.mark(text.as_bytes(), &mut out);
            for (test, bit) in tests.iter().zip(0..) {
                assert_eq!(
                    mask::has(&out, bit),
                    test.holds(text.as_bytes()),
                    "{test:?} on {text:?}"
                );
            }
        }
    }
}
