//! Files that an import leaves out: those in which nothing stands, folders, and those whose format nobody knows. What
//! such a file looks like is told to whoever has to do something about it.

use std::path::Path;

use ctrace_trace::segment::FILE_MAGIC;

use super::{End, FileReport, ImportError, Input};

/// What stands in place of a format's name where a file has nothing to find it out from.
pub(super) const EMPTY: &str = "empty";
/// The same of a file that no importer knows.
pub(super) const UNKNOWN: &str = "unknown";
/// The same of a folder.
const FOLDER: &str = "folder";

/// So many bytes of a text are shown.
const SHOWN: usize = 60;

/// Formats that are none of ours, by a few bytes at a place: offset, bytes, and what to say of them.
const KNOWN_BYTES: &[(usize, &[u8], &str)] = &[
    (0, &FILE_MAGIC, "a segment of a ctrace case, to be read as it is"),
    (
        0,
        b"LPKSHHRH",
        "a journal; what journalctl --file FILE -o json prints can be imported",
    ),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd; decompress it first"),
    (0, b"\xfd7zXZ\0", "compressed with xz; decompress it first"),
    (0, b"BZh", "compressed with bzip2; decompress it first"),
    (0, b"\x04\x22\x4d\x18", "compressed with lz4; decompress it first"),
    (0, b"\x1f\x8b", "compressed twice; decompress it once"),
    (257, b"ustar", "a tar archive; unpack it first"),
    (0, b"PK\x03\x04", "a zip archive; unpack it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first"),
    (0, b"\x0a\x0d\x0d\x0a", "packets of a network (pcapng)"),
    (0, b"\xd4\xc3\xb2\xa1", "packets of a network (pcap)"),
    (0, b"\xa1\xb2\xc3\xd4", "packets of a network (pcap)"),
    (0, b"\x4d\x3c\xb2\xa1", "packets of a network (pcap)"),
    (0, b"PERFILE2", "a recording of perf"),
    (0, b"ElfFile\0", "an event log of Windows"),
    (0, b"\x7fELF", "a program or library (ELF)"),
    (0, b"SQLite format 3\0", "a database (SQLite)"),
    (0, b"PAR1", "a table (Parquet)"),
    (0, b"%PDF-", "a document (PDF)"),
    (0, b"\x89PNG", "a picture (PNG)"),
    (0, b"\xff\xd8\xff", "a picture (JPEG)"),
    (0, b"\xff\xfe", "text in UTF-16; convert it to UTF-8 first"),
    (0, b"\xfe\xff", "text in UTF-16; convert it to UTF-8 first"),
];

/// What a file looks like by its beginning, in words.
pub(super) fn looks_like(start: &[u8]) -> String {
    let is = |at: usize, bytes: &[u8]| start.get(at..).is_some_and(|rest| rest.starts_with(bytes));
    if let Some((.., what)) = KNOWN_BYTES.iter().find(|(at, bytes, _)| is(*at, bytes)) {
        return (*what).to_owned();
    }
    let text = start.trim_ascii_start();
    let kind = match text.first() {
        _ if start.contains(&0) => return "data that is no text".to_owned(),
        Some(b'{' | b'[') => "JSON",
        Some(b'<') => "XML",
        _ => "text",
    };
    let line = text.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line.get(..SHOWN).unwrap_or(line));
    format!("{kind} that begins with {:?}", line.trim_end())
}

/// The account of a file in which nothing stands. A compressed one may be empty because it is damaged.
pub(super) fn empty(id: u64, path: &Path, input: Input) -> Result<FileReport, ImportError> {
    let end = input.cut().map_or(End::Whole, |reason| End::Cut {
        offset: 0,
        reason: reason.to_owned(),
    });
    account(FileReport::new(id, path, EMPTY), end, input)
}

/// The account of a file that no importer knows.
pub(super) fn unknown(id: u64, path: &Path, input: Input) -> Result<FileReport, ImportError> {
    let reason = format!("format not known: {}", looks_like(input.start()));
    account(FileReport::new(id, path, UNKNOWN), End::Unread { reason }, input)
}

/// The account of a folder.
pub(super) fn folder(id: u64, path: &Path) -> FileReport {
    let reason = "a folder; name the files in it".to_owned();
    FileReport {
        end: End::Unread { reason },
        ..FileReport::new(id, path, FOLDER)
    }
}

fn account(report: FileReport, end: End, input: Input) -> Result<FileReport, ImportError> {
    let (sha256, bytes) = input.close()?;
    Ok(FileReport {
        end,
        sha256,
        bytes,
        ..report
    })
}

/// Why there is nothing to import where all files were left out; `None` where none was.
pub(super) fn nothing_else(left_out: &[FileReport]) -> Option<ImportError> {
    // What could be imported if its name were given is worth more words than what is empty.
    let first = left_out
        .iter()
        .find(|f| f.format == UNKNOWN)
        .or_else(|| left_out.iter().find(|f| f.format == FOLDER))
        .or_else(|| left_out.first())?;
    let path = first.path.clone();
    let count = left_out.iter().filter(|f| f.format == first.format).count();
    Some(match &first.end {
        End::Unread { reason } if first.format == UNKNOWN => ImportError::Unknown {
            path,
            reason: reason.clone(),
            count,
        },
        End::Unread { reason } | End::Cut { reason, .. } => ImportError::Empty {
            path,
            reason: reason.clone(),
            count,
        },
        End::Whole => ImportError::Empty {
            path,
            reason: "the file is empty".to_owned(),
            count,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_described_by_its_beginning() {
        let mut tar = vec![b'x'; 257];
        tar.extend(b"ustar\x0000");
        for (start, told) in [
            (
                &b"\x28\xb5\x2f\xfd rest"[..],
                "compressed with zstd; decompress it first",
            ),
            (&tar, "a tar archive; unpack it first"),
            (
                b"\x89CTR\r\n\x1a\n\x03\0",
                "a segment of a ctrace case, to be read as it is",
            ),
            (b"\x01\x02\0\x03", "data that is no text"),
            (b"  {\"a\": 1}\n{}", "JSON that begins with \"{\\\"a\\\": 1}\""),
            (b"<html>\r\n<body>", "XML that begins with \"<html>\""),
            (b"hello\nworld\n", "text that begins with \"hello\""),
            (b"caf\xe9", "text that begins with \"caf\u{fffd}\""),
        ] {
            assert_eq!(looks_like(start), told);
        }
        assert_eq!(
            looks_like(&[b'y'; 500]).len(),
            "text that begins with \"\"".len() + SHOWN
        );
    }
}
