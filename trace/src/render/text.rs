//! What is shown, before it is text: values are written once, straight to where they are wanted.

use std::borrow::Cow;
use std::fmt::{self, Write};

use crate::block::decoded::{FdView, ImageView};
use crate::names;
use crate::schema::NameSet;

/// A text that can be written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// A decimal number.
    Signed(i64),
    /// A decimal number.
    Unsigned(u64),
    /// As `printf("%#o")` writes it.
    Octal(i64),
    /// In capitals, without a prefix.
    Hexadecimal(u64),
    /// The names of a number's bits.
    Names(NameSet, i64),
    /// The names of what is special about an executable.
    ExeFlags(u8),
    /// An open object: `<f>/etc/passwd`.
    Object(FdView<'a>),
    /// Its name alone.
    ObjectName(FdView<'a>),
    /// Bytes as Falco shows them: what is not printable ASCII as a dot.
    Dots(&'a [u8]),
    /// All arguments of a program but the first, each with a dot for the NUL that ends it.
    Arguments(ImageView<'a>),
}

impl<'a> Text<'a> {
    /// No text.
    pub(super) const EMPTY: Text<'static> = Text::Bytes(b"");

    /// Appends it.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self {
            Text::Bytes(bytes) => out.extend_from_slice(bytes),
            Text::Signed(v) => out.extend_from_slice(itoa::Buffer::new().format(v).as_bytes()),
            Text::Unsigned(v) => out.extend_from_slice(itoa::Buffer::new().format(v).as_bytes()),
            Text::Octal(0) => out.push(b'0'),
            Text::Octal(v) => append(out, format_args!("0{v:o}")),
            Text::Hexadecimal(v) => append(out, format_args!("{v:X}")),
            Text::Names(set, v) => names::write(set, v, out),
            Text::ExeFlags(flags) => out.extend_from_slice(names::exe_flags(flags).as_bytes()),
            Text::Object(fd) => {
                out.extend_from_slice(&[b'<', fd.entry.kind.type_char(), b'>']);
                fd.write_name(out);
            }
            Text::ObjectName(fd) => fd.write_name(out),
            Text::Dots(bytes) => dots(bytes, out),
            Text::Arguments(image) => {
                for argument in image.args().skip(1) {
                    dots(argument, out);
                    out.push(b'.');
                }
            }
        }
    }

    /// As a text of its own.
    pub(super) fn into_cow(self) -> Cow<'a, [u8]> {
        if let Text::Bytes(bytes) = self {
            return Cow::Borrowed(bytes);
        }
        let mut out = Vec::new();
        self.write(&mut out);
        Cow::Owned(out)
    }
}

fn dots(bytes: &[u8], out: &mut Vec<u8>) {
    let printable = |b: &u8| if (b' '..=b'~').contains(b) { *b } else { b'.' };
    out.extend(bytes.iter().map(printable));
}

/// Appends formatted text.
fn append(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    struct Bytes<'v>(&'v mut Vec<u8>);
    impl Write for Bytes<'_> {
        fn write_str(&mut self, s: &str) -> fmt::Result {
            self.0.extend_from_slice(s.as_bytes());
            Ok(())
        }
    }
    // Appending to memory cannot fail.
    _ = Bytes(out).write_fmt(text);
}
