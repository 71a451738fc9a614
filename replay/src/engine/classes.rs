//! Classes of dictionary entries: entries of which the same comparisons hold are of one class, and what the conditions say
//! is computed once per class.

use hashbrown::HashMap;

use super::mask;

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
