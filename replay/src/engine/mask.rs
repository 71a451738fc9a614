//! Sets of small numbers as words of bits. All sets of one kind have the same number of words.

/// The number of words for so many bits; at least one, so that no set is empty of words.
pub(super) fn words_for(bits: usize) -> usize {
    bits.div_ceil(64).max(1)
}

pub(super) fn set(words: &mut [u64], bit: u32) {
    if let Some(word) = words.get_mut((bit / 64) as usize) {
        *word |= 1 << (bit % 64);
    }
}

pub(super) fn has(words: &[u64], bit: u32) -> bool {
    words
        .get((bit / 64) as usize)
        .is_some_and(|word| word >> (bit % 64) & 1 == 1)
}

pub(super) fn any(words: &[u64]) -> bool {
    words.iter().any(|w| *w != 0)
}

/// `into |= from`.
pub(super) fn add(into: &mut [u64], from: &[u64]) {
    into.iter_mut().zip(from).for_each(|(a, b)| *a |= b);
}

/// `into &= from`.
pub(super) fn keep(into: &mut [u64], from: &[u64]) {
    into.iter_mut().zip(from).for_each(|(a, b)| *a &= b);
}

/// Whether two sets have something in common.
pub(super) fn meet(a: &[u64], b: &[u64]) -> bool {
    a.iter().zip(b).any(|(a, b)| a & b != 0)
}

/// The numbers in a set, ascending.
pub(super) fn bits(words: &[u64]) -> impl Iterator<Item = u32> + '_ {
    words.iter().enumerate().flat_map(|(i, word)| {
        let mut left = *word;
        std::iter::from_fn(move || {
            let bit = (left != 0).then(|| left.trailing_zeros())?;
            left &= left - 1;
            Some(i as u32 * 64 + bit)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_back() {
        let mut words = vec![0; words_for(130)];
        for bit in [0, 63, 64, 129] {
            set(&mut words, bit);
        }
        assert_eq!(bits(&words).collect::<Vec<_>>(), [0, 63, 64, 129]);
        assert!(has(&words, 129) && !has(&words, 128) && !has(&words, 9999));
        assert!(any(&words) && meet(&words, &[1, 0, 0]) && !meet(&words, &[2, 0, 0]));
    }
}
