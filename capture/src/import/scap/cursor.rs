//! Reading numbers and strings from a piece of a capture, in its byte order, never behind its end.

/// A place in a piece of a capture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    big: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], big: bool) -> Cursor<'a> {
        Cursor { rest: bytes, big }
    }

    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes: [u8; N] = self.take(N)?.try_into().ok()?;
        if self.big {
            bytes.reverse();
        }
        Some(bytes)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A process or thread id: 64 bits in the file, of which the kernel uses 32.
    pub(super) fn pid(&mut self) -> Option<u32> {
        self.u64().map(|v| v as u32)
    }

    /// Text with its length in 16 bits before it, which may end in a NUL.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        let text = self.take(usize::from(len))?;
        Some(text.strip_suffix(b"\0").unwrap_or(text))
    }
}
