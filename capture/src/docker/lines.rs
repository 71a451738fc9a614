//! Cuts the event stream into lines of bounded length.

/// Longest line that is kept. An event carries its container's labels and an exec's whole command line, so lines of
/// many kilobytes are legitimate.
pub(super) const MAX_LINE: usize = 1 << 20;

/// Collects bytes until a line is whole. What exceeds [`MAX_LINE`] is dropped up to the next line feed and counted.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// Where the first line that was not yet returned begins.
    start: usize,
    /// Up to where the buffer is known to hold no line feed.
    scanned: usize,
    /// The current line was too long: everything up to its end is dropped.
    skipping: bool,
    overlong: u64,
}

impl Lines {
    /// Where new bytes are appended. Call [`Lines::next_line`] until it says `None` before the next append.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        &mut self.buffer
    }

    /// The next whole line, without its end; empty lines are left out.
    pub(super) fn next_line(&mut self) -> Option<&[u8]> {
        loop {
            let Some(found) = self.buffer.get(self.scanned..)?.iter().position(|b| *b == b'\n') else {
                self.keep_rest();
                return None;
            };
            let (start, end) = (self.start, self.scanned + found);
            self.start = end + 1;
            self.scanned = end + 1;
            let skipped = std::mem::take(&mut self.skipping);
            if !skipped && end - start > MAX_LINE {
                self.overlong += 1;
            } else if !skipped && end > start {
                return self.buffer.get(start..end);
            }
        }
    }

    /// How many lines were dropped since the last call.
    pub(super) fn take_overlong(&mut self) -> u64 {
        std::mem::take(&mut self.overlong)
    }

    fn keep_rest(&mut self) {
        self.scanned = self.buffer.len();
        if self.skipping || self.scanned - self.start > MAX_LINE {
            self.overlong += u64::from(!self.skipping);
            self.skipping = true;
            self.start = self.scanned;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(input: &[u8], size: usize) -> (Vec<Vec<u8>>, u64) {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for piece in input.chunks(size) {
            lines.buffer().extend_from_slice(piece);
            while let Some(line) = lines.next_line() {
                out.push(line.to_vec());
            }
        }
        (out, lines.take_overlong())
    }

    #[test]
    fn lines_do_not_depend_on_how_the_stream_was_cut() {
        for size in 1..20 {
            let (lines, overlong) = split(b"one\n\ntwo\nthree\nunfinished", size);
            assert_eq!(lines, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()], "{size}");
            assert_eq!(overlong, 0);
        }
    }

    #[test]
    fn an_overlong_line_costs_only_itself() {
        let mut input = b"before\n".to_vec();
        input.resize(input.len() + 3 * MAX_LINE, b'x');
        input.extend_from_slice(b"\nafter\n");
        for size in [4096, MAX_LINE, input.len()] {
            assert_eq!(
                split(&input, size),
                (vec![b"before".to_vec(), b"after".to_vec()], 1),
                "{size}"
            );
        }
    }

    #[test]
    fn memory_is_bounded_while_a_line_does_not_end() {
        let mut lines = Lines::default();
        for _ in 0..200 {
            lines.buffer().extend_from_slice(&[b'x'; 32 * 1024]);
            assert!(lines.next_line().is_none());
            assert!(lines.buffer.len() <= MAX_LINE + 64 * 1024);
        }
        assert_eq!(lines.take_overlong(), 1);
    }
}
