//! Texts that are copied often and may be long.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Longer ones are shared.
const LONG: usize = 1024;

/// Bytes. Copies of long ones share them: a process has the command line of what forked it, of up to 64 KiB.
#[derive(Clone)]
pub struct Text(Bytes);

#[derive(Clone)]
enum Bytes {
    Own(Vec<u8>),
    Shared(Arc<[u8]>),
}

impl Text {
    /// Replaces it by what is written to an empty text. Uses the room that it has.
    pub fn make(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = match &mut self.0 {
            Bytes::Own(bytes) => std::mem::take(bytes),
            Bytes::Shared(_) => Vec::new(),
        };
        bytes.clear();
        write(&mut bytes);
        *self = bytes.into();
    }

    /// Makes another text of it. Uses the room that it has.
    #[inline]
    pub fn set(&mut self, from: &Text) {
        match (&mut self.0, &from.0) {
            (Bytes::Own(to), Bytes::Own(from)) => {
                to.clear();
                to.extend_from_slice(from);
            }
            (to, from) => *to = from.clone(),
        }
    }

    /// Leaves nothing, and room for no more than `most` bytes.
    pub fn clear(&mut self, most: usize) {
        match &mut self.0 {
            Bytes::Own(bytes) if bytes.capacity() <= most => bytes.clear(),
            bytes => *bytes = Bytes::Own(Vec::new()),
        }
    }

    /// Bytes of memory that it takes: of what others have too its part.
    #[inline]
    pub fn room(&self) -> usize {
        match &self.0 {
            Bytes::Own(bytes) => bytes.capacity(),
            Bytes::Shared(bytes) => bytes.len() / Arc::strong_count(bytes),
        }
    }
}

impl Default for Text {
    fn default() -> Text {
        Text(Bytes::Own(Vec::new()))
    }
}

impl From<Vec<u8>> for Text {
    #[inline]
    fn from(bytes: Vec<u8>) -> Text {
        Text(match bytes.len() > LONG {
            true => Bytes::Shared(bytes.into()),
            false => Bytes::Own(bytes),
        })
    }
}

impl Deref for Text {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Own(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        **self == **other
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Text {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_shared_and_short_ones_written_over() {
        let (short, long) = (Text::from(b"ls".to_vec()), Text::from(vec![b'x'; 65_536]));
        let copies: Vec<Text> = (0..15).map(|_| long.clone()).collect();
        assert_eq!(
            (long.room(), copies.iter().map(Text::room).sum::<usize>()),
            (4096, 15 * 4096)
        );
        drop(copies);
        assert_eq!(long.room(), 65_536);
        let mut text = Text::default();
        for from in [&short, &long, &short, &long, &long] {
            text.set(from);
            assert_eq!(text, *from);
        }
        text.make(|to| to.extend_from_slice(b"cat"));
        let place = text.as_ptr();
        text.set(&short);
        assert_eq!((&text[..], text.as_ptr()), (&b"ls"[..], place));
        text.clear(LONG);
        assert!(text.is_empty() && text.room() > 0);
        text.clear(0);
        assert!(text.is_empty() && text.room() == 0);
    }
}
