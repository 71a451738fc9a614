//! Changes of samples, the same each time.

/// What one may do to bytes, from a number that decides everything.
#[derive(Clone, Debug)]
pub struct Mutations(u64);

impl Mutations {
    /// Different numbers give different changes.
    pub fn new(seed: u64) -> Mutations {
        Mutations(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// xorshift64* (Vigna 2016).
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn range(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(bytes.len());
        let longest = if self.below(4) == 0 { bytes.len() } else { 64 };
        let length = self.below(longest);
        start..(start + length).min(bytes.len())
    }

    /// Changes `bytes` a few times; `other` is what pieces are taken from.
    pub fn change(&mut self, bytes: &[u8], other: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        for _ in 0..=self.below(4) {
            self.once(&mut out, other);
            // What repeats repeatedly must not grow without end.
            out.truncate(1 << 20);
        }
        out
    }

    fn once(&mut self, out: &mut Vec<u8>, other: &[u8]) {
        /// Numbers and characters at which formats change their mind.
        const TELLING: [&[u8]; 12] = [
            b"\0",
            b"\xff\xff\xff\xff",
            b"\xff\xff\xff\x7f",
            b"\0\0\0\x80",
            b"\"",
            b"\\",
            b"{",
            b"[",
            b"\n",
            b"-9223372036854775808",
            b"18446744073709551616",
            b"\xf0\x9f",
        ];
        let at = self.below(out.len() + 1);
        match self.below(8) {
            0 => out.truncate(at),
            1 => drop(out.drain(..at)),
            2 | 3 => {
                let bit = 1 << self.below(8);
                if let Some(byte) = out.get_mut(at) {
                    *byte ^= bit;
                }
            }
            4 => {
                let range = self.range(out);
                let piece = out.get(range).unwrap_or_default().repeat(1 + self.below(20));
                out.splice(at..at, piece);
            }
            5 => {
                let range = self.range(other);
                out.splice(at..at, other.get(range).unwrap_or_default().iter().copied());
            }
            6 => {
                let range = self.range(out);
                out.drain(range);
            }
            _ => {
                let telling = TELLING.get(self.below(TELLING.len())).copied().unwrap_or_default();
                let end = (at + telling.len()).min(out.len());
                let instead = if self.below(2) == 0 { at } else { end };
                out.splice(at..instead, telling.iter().copied());
            }
        }
    }
}
