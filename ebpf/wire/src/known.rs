//! Executed files of which user space knows all that it wants: their execs need not wake it.
//!
//! A table of marks that user space maps and writes, and the kernel side looks up when a program starts. Two files may have one
//! mark, and one file's place may be taken by another's: then an exec is told somewhat later, or once more at once than it
//! has to be, and nothing else.

use crate::section::{FRACTION, File};

/// Marks in the table; a power of two. It is pages as a whole.
pub const MARKS: u32 = 4096;

// An odd number without a pattern, as for Fibonacci hashing.
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;

/// The mark of a file as it is now; never 0, which is no file's.
#[inline(always)]
pub fn mark(file: &File) -> u64 {
    let mut mark = file.ino ^ (file.dev as u64) << 32;
    mark = (mark.wrapping_mul(MIX) >> 3) ^ file.ctime_s as u64;
    mark = (mark.wrapping_mul(MIX) >> 3) ^ file.mtime_s as u64;
    // That somebody asked for its time does not make it another file.
    let changed = file.ctime_ns & FRACTION;
    mark = (mark.wrapping_mul(MIX) >> 3) ^ ((changed as u64) << 32 | file.mtime_ns as u64);
    mark.wrapping_mul(MIX) | 1
}

/// Where a mark stands.
#[inline(always)]
pub fn place(mark: u64) -> u32 {
    (mark >> 40) as u32 & (MARKS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_has_another_mark() {
        let file = File {
            ino: 12,
            dev: 3,
            ctime_s: 1_700_000_000,
            ctime_ns: 5,
            mtime_s: 1_600_000_000,
            mtime_ns: 6,
            ..File::default()
        };
        let changed = [
            File { ino: 13, ..file },
            File { dev: 4, ..file },
            File {
                ctime_s: 1_700_000_001,
                ..file
            },
            File { ctime_ns: 4, ..file },
            File {
                mtime_s: 1_600_000_001,
                ..file
            },
            File { mtime_ns: 7, ..file },
        ];
        assert!(changed.iter().all(|other| mark(other) != mark(&file)));
        assert_eq!(mark(&File { nlink: 9, ..file }), mark(&file));
        let asked_for = File {
            ctime_ns: 5 | 1 << 31,
            ..file
        };
        assert_eq!(mark(&asked_for), mark(&file), "somebody looked at its times");
        assert_ne!(mark(&File::default()), 0);
    }

    #[test]
    fn neighbours_stand_in_different_places() {
        let mut taken = [false; MARKS as usize];
        for ino in 0..256 {
            taken[place(mark(&File { ino, ..File::default() })) as usize] = true;
        }
        assert!(taken.iter().filter(|taken| **taken).count() > 200);
    }
}
