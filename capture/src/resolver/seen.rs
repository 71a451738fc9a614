//! What records said lately, and what was made of it: to compare the whole takes less than to make it anew.

use super::spare::set;
use crate::syscall::Section;

/// How many are kept, as a power of two.
const KEPT_BITS: u32 = 6;
/// Longer ones are not kept: memory stays bounded.
const MAX_LEN: usize = 16 * 1024;

/// What was seen lately, each in the place that its beginning and its length give it.
#[derive(Debug)]
pub(super) struct Seen {
    places: Box<[Known; 1 << KEPT_BITS]>,
}

#[derive(Debug, Default)]
struct Known {
    whole: Vec<u8>,
    truncated: bool,
    made: Vec<u8>,
}

impl Default for Seen {
    fn default() -> Seen {
        Seen {
            places: Box::new(std::array::from_fn(|_| Known::default())),
        }
    }
}

impl Seen {
    /// Replaces `to` by what `make` makes of a section, which has to be the same each time.
    pub(super) fn make(&mut self, section: &Section<'_>, to: &mut Vec<u8>, mut make: impl FnMut(&mut Vec<u8>)) {
        let seen = (!section.detached).then_some(self);
        match seen.and_then(|seen| seen.of(section.data, section.truncated, |_, to| make(to))) {
            Some(made) => set(to, made),
            None => make(to),
        }
    }

    /// What `make` makes of the content of a section, beside what else is known; `None` of an empty one and of one that is
    /// too long to be kept.
    #[inline]
    pub(super) fn of(&mut self, data: &[u8], truncated: bool, make: impl FnOnce(&Seen, &mut Vec<u8>)) -> Option<&[u8]> {
        if data.is_empty() || data.len() > MAX_LEN {
            return None;
        }
        let at = place(data);
        if !self.places.get(at)?.is_of(data, truncated) {
            self.learn(at, data, truncated, make);
        }
        Some(&self.places.get(at)?.made)
    }

    /// What was made of the content of a section, if it is known.
    pub(super) fn get(&self, data: &[u8], truncated: bool) -> Option<&[u8]> {
        let known = self.places.get(place(data))?;
        (known.is_of(data, truncated) && !data.is_empty()).then_some(&known.made)
    }

    #[cold]
    fn learn(&mut self, at: usize, data: &[u8], truncated: bool, make: impl FnOnce(&Seen, &mut Vec<u8>)) {
        let Some(known) = self.places.get_mut(at) else { return };
        set(&mut known.whole, data);
        known.truncated = truncated;
        let mut made = std::mem::take(&mut known.made);
        make(self, &mut made);
        if let Some(known) = self.places.get_mut(at) {
            known.made = made;
        }
    }
}

impl Known {
    #[inline]
    fn is_of(&self, data: &[u8], truncated: bool) -> bool {
        self.truncated == truncated && self.whole == data
    }
}

fn place(data: &[u8]) -> usize {
    let head = data.first_chunk().map_or(0, |head| u64::from_le_bytes(*head));
    let mixed = (head ^ data.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - KEPT_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use ctrace_wire::section;

    use super::*;

    fn path(data: &[u8], truncated: bool) -> Section<'_> {
        Section {
            kind: section::FILE_PATH,
            arg: 0,
            truncated,
            fault: false,
            detached: false,
            full_len: None,
            data,
        }
    }

    #[test]
    fn what_is_found_again_is_what_is_made_anew() {
        let long = vec![b'x'; MAX_LEN + 1];
        let mut all = vec![
            (&b""[..], false),
            (b"", true),
            (b"a\0", false),
            (b"a\0", true),
            (&long, false),
        ];
        let names: Vec<String> = (0..1000).map(|i| format!("a-long-name\0{i}\0")).collect();
        all.extend(names.iter().map(|name| (name.as_bytes(), false)));
        let (mut seen, mut made) = (Seen::default(), 0);
        let (mut found, mut anew) = (b"of another".to_vec(), Vec::new());
        for (data, truncated) in all {
            for _ in 0..2 {
                let section = path(data, truncated);
                section.path_into(false, &mut anew);
                seen.make(&section, &mut found, |to| {
                    made += 1;
                    section.path_into(false, to);
                });
                assert_eq!(found, anew);
            }
        }
        // Of nothing and of the long one each time, of all others once.
        assert_eq!(made, 6 + 2 + 1000);
        assert!(seen.places.iter().all(|known| known.whole.len() <= MAX_LEN));
    }
}
