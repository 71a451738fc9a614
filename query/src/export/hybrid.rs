//! Parquet's run-length and bit-packing hybrid: levels and dictionary keys
//! (<https://parquet.apache.org/docs/file-format/data-pages/encodings/>).

/// Values of a bit-packed group.
const GROUP: usize = 8;

/// Appends values of so many bits each, at most 32. A value must fit its bits.
pub(super) fn encode(values: &[u32], bits: u32, out: &mut Vec<u8>) {
    let mut waiting = 0;
    let mut at = 0;
    while let Some(rest) = values.get(at..).filter(|rest| !rest.is_empty()) {
        let run = run_length(rest);
        if run >= GROUP || run == rest.len() {
            packed(values.get(waiting..at).unwrap_or_default(), bits, out);
            repeated(rest.first().copied().unwrap_or(0), run, bits, out);
            at += run;
            waiting = at;
        } else {
            at += GROUP.min(rest.len());
        }
    }
    packed(values.get(waiting..).unwrap_or_default(), bits, out);
}

/// Appends one value, repeated.
pub(super) fn repeated(value: u32, count: usize, bits: u32, out: &mut Vec<u8>) {
    varint((count as u64) << 1, out);
    let bytes = bits.div_ceil(8) as usize;
    out.extend_from_slice(value.to_le_bytes().get(..bytes).unwrap_or_default());
}

/// Bits of the largest value.
pub(super) fn bits_for(largest: u32) -> u32 {
    u32::BITS - largest.leading_zeros()
}

/// Appends values one behind the other, the lowest bit first; zero bits fill up the last byte.
pub(super) fn pack(values: impl Iterator<Item = u32>, bits: u32, out: &mut Vec<u8>) {
    let (mut word, mut filled) = (0u64, 0);
    for value in values {
        word |= u64::from(value) << filled;
        filled += bits;
        if filled >= u32::BITS {
            out.extend_from_slice(&(word as u32).to_le_bytes());
            word >>= u32::BITS;
            filled -= u32::BITS;
        }
    }
    while filled > 0 {
        out.push(word as u8);
        word >>= 8;
        filled = filled.saturating_sub(8);
    }
}

fn run_length(values: &[u32]) -> usize {
    let Some(first) = values.first() else { return 0 };
    let (groups, _) = values.as_chunks::<GROUP>();
    let whole = groups.iter().take_while(|group| **group == [*first; GROUP]).count() * GROUP;
    let rest = values.get(whole..).unwrap_or_default();
    whole + rest.iter().take_while(|v| *v == first).count()
}

/// Groups of [`GROUP`] values; the last one is filled up with zeros, and only the last run of all may need that.
fn packed(values: &[u32], bits: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    varint((values.len().div_ceil(GROUP) as u64) << 1 | 1, out);
    let (groups, rest) = values.as_chunks::<GROUP>();
    out.reserve((groups.len() + 1) * bits as usize);
    pack_groups(groups, bits, out);
    if !rest.is_empty() {
        let mut last = [0; GROUP];
        last.iter_mut().zip(rest).for_each(|(last, value)| *last = *value);
        pack_groups(&[last], bits, out);
    }
}

/// Packs whole groups: as many bytes each as a value has bits.
fn pack_groups(groups: &[[u32; GROUP]], bits: u32, out: &mut Vec<u8>) {
    /// For a number of bits that is known here the compiler does without branches.
    macro_rules! of_bits {
        ($($bits:literal)*) => {
            match bits {
                $($bits => groups.iter().for_each(|group| out.extend_from_slice(&packed_group::<$bits>(group))),)*
                _ => groups.iter().for_each(|group| pack(group.iter().copied(), bits, out)),
            }
        };
    }
    of_bits!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20);
}

fn packed_group<const BITS: usize>(group: &[u32; GROUP]) -> [u8; BITS] {
    let mut out = [0; BITS];
    let (mut word, mut filled, mut at) = (0u64, 0, 0);
    for value in group {
        word |= u64::from(*value) << filled;
        filled += BITS;
        while filled >= 8 {
            if let Some(byte) = out.get_mut(at) {
                *byte = word as u8;
            }
            word >>= 8;
            filled -= 8;
            at += 1;
        }
    }
    out
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads it back as the specification says.
    fn decode(bytes: &[u8], bits: u32, count: usize) -> Vec<u32> {
        let mut out = Vec::new();
        let mut at = 0;
        while out.len() < count {
            let (mut header, mut shift) = (0u64, 0);
            loop {
                let byte = bytes[at];
                at += 1;
                header |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            if header & 1 == 0 {
                let len = bits.div_ceil(8) as usize;
                let value = (0..len).fold(0, |v, i| v | u32::from(bytes[at + i]) << (8 * i));
                at += len;
                out.extend(std::iter::repeat_n(value, (header >> 1) as usize));
            } else {
                let bit = |i: usize| u32::from(bytes[at + i / 8] >> (i % 8) & 1);
                let values = (header >> 1) as usize * 8;
                let value = |v: usize| (0..bits as usize).fold(0, |x, b| x | bit(v * bits as usize + b) << b);
                out.extend((0..values).map(value));
                at += values * bits as usize / 8;
            }
        }
        assert_eq!(at, bytes.len(), "nothing is left");
        out.truncate(count);
        out
    }

    #[test]
    fn what_was_encoded_comes_back() {
        let mut seed = 7u64;
        let mut roll = |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % n
        };
        for case in 0..400 {
            let bits = (case % 21) as u32;
            let count = roll(300) as usize;
            let mut values = Vec::new();
            while values.len() < count {
                let value = roll(1 << bits) as u32;
                let run = if roll(2) == 0 { 1 } else { roll(40) as usize + 1 };
                values.extend(std::iter::repeat_n(value, run));
            }
            values.truncate(count);
            let mut bytes = Vec::new();
            encode(&values, bits, &mut bytes);
            assert_eq!(decode(&bytes, bits, count), values, "case {case}");
        }
        let mut runs = Vec::new();
        encode(&[5; 1_000_000], 3, &mut runs);
        assert!(runs.len() < 6, "a run is short");
        assert_eq!((bits_for(0), bits_for(1), bits_for(255), bits_for(256)), (0, 1, 8, 9));
    }
}
