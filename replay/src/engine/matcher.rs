//! Many comparisons of one value at once: equal texts by one look-up, beginnings and ends by their first or last eight
//! bytes, the rest one by one.

use hashbrown::HashMap;
use memchr::memmem::Finder;

use super::mask;
use crate::condition::Operator;
use crate::typed::glob::Glob;
use crate::typed::test::StrTest;

/// Comparisons of texts; each has the number of a bit.
#[derive(Debug, Default)]
pub(super) struct TextMatcher<'r> {
    equal: HashMap<&'r [u8], Vec<u32>>,
    starts: Vec<Edge<'r>>,
    globs: Vec<(Edge<'r>, &'r Glob)>,
    ends: Vec<Edge<'r>>,
    contains: Vec<(&'r Finder<'static>, u32)>,
    rest: Vec<(&'r StrTest, u32)>,
}

/// A beginning or end to look for: its eight bytes at the edge, and all of it.
#[derive(Debug)]
struct Edge<'r> {
    word: u64,
    mask: u64,
    text: std::borrow::Cow<'r, [u8]>,
    bit: u32,
}

impl<'r> TextMatcher<'r> {
    pub(super) fn add(&mut self, test: &'r StrTest, bit: u32) {
        match test {
            StrTest::Compare(Operator::Eq | Operator::In | Operator::Intersects, text) => {
                self.equal.entry(text).or_default().push(bit);
            }
            StrTest::In(set) => {
                set.iter().for_each(|text| self.equal.entry(text).or_default().push(bit));
            }
            StrTest::StartsWith(text) => self.starts.push(Edge::start(text.as_ref().into(), bit)),
            StrTest::EndsWith(text) => self.ends.push(Edge::end(text, bit)),
            StrTest::Glob(glob) => self.globs.push((Edge::start(glob.literal_start().into(), bit), glob)),
            StrTest::Contains(finder) => self.contains.push((finder, bit)),
            StrTest::Never => {}
            other => self.rest.push((other, bit)),
        }
    }

    /// Sets the bits of the comparisons that hold.
    pub(super) fn mark(&self, text: &[u8], out: &mut [u64]) {
        if !self.equal.is_empty()
            && let Some(bits) = self.equal.get(text)
        {
            bits.iter().for_each(|bit| mask::set(out, *bit));
        }
        if !self.starts.is_empty() || !self.globs.is_empty() {
            let word = first_word(text);
            for edge in self.starts.iter().filter(|e| e.fits(word) && text.starts_with(&e.text)) {
                mask::set(out, edge.bit);
            }
            for (edge, glob) in self.globs.iter().filter(|(e, _)| e.fits(word) && text.starts_with(&e.text)) {
                if glob.matches(text) {
                    mask::set(out, edge.bit);
                }
            }
        }
        if !self.ends.is_empty() {
            let word = last_word(text);
            for edge in self.ends.iter().filter(|e| e.fits(word) && text.ends_with(&e.text)) {
                mask::set(out, edge.bit);
            }
        }
        for (finder, bit) in &self.contains {
            if finder.find(text).is_some() {
                mask::set(out, *bit);
            }
        }
        for (test, bit) in &self.rest {
            if test.holds(text) {
                mask::set(out, *bit);
            }
        }
    }
}

impl<'r> Edge<'r> {
    fn start(text: std::borrow::Cow<'r, [u8]>, bit: u32) -> Edge<'r> {
        let word = first_word(&text);
        let mask = first_word(&[0xff; 8][..text.len().min(8)]);
        Edge { word, mask, text, bit }
    }

    fn end(text: &'r [u8], bit: u32) -> Edge<'r> {
        let word = last_word(text);
        let mask = last_word(&[0xff; 8][..text.len().min(8)]);
        Edge { word, mask, text: text.into(), bit }
    }

    fn fits(&self, word: u64) -> bool {
        word & self.mask == self.word
    }
}

/// The first eight bytes, zeros behind a shorter text.
fn first_word(text: &[u8]) -> u64 {
    match text.first_chunk::<8>() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => text.iter().rev().fold(0, |word, b| word << 8 | u64::from(*b)),
    }
}

/// The last eight bytes, zeros before a shorter text.
fn last_word(text: &[u8]) -> u64 {
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
            StrTest::In([(*b"/etc/passwd").into(), (*b"a").into()].into()),
            StrTest::Glob(Glob::new(b"/etc/*d", false).unwrap()),
            StrTest::Glob(Glob::new(b"/ETC/*", true).unwrap()),
            finder("pass"),
            finder(""),
        ];
        let mut matcher = TextMatcher::default();
        tests.iter().zip(0..).for_each(|(t, bit)| matcher.add(t, bit));
        for text in ["", "a", "/etc", "/etc\0", "/etc/passwd", "/etc/passwd-", "/etc/shadow", "d", "\0\0\0/etc"] {
            let mut out = [0];
            matcher.mark(text.as_bytes(), &mut out);
            for (test, bit) in tests.iter().zip(0..) {
                assert_eq!(mask::has(&out, bit), test.holds(text.as_bytes()), "{test:?} on {text:?}");
            }
        }
    }
}
