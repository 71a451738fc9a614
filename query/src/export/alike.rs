//! Rows that are alike, as entries of a domain: numbered in the order in which they are first met.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::dictionary::NULL;
use super::domain::Entries;

/// Finds rows that are alike.
pub(super) struct Alike {
    /// What hashes begin with: who makes a block cannot know which numbers collide.
    pub(super) seed: u64,
    table: HashTable<(u64, u32)>,
    /// The entry of each row.
    of_rows: Vec<u32>,
    /// The first row of each entry.
    pub(super) first: Vec<u32>,
}

impl Alike {
    pub(super) fn new(rows: usize) -> Alike {
        Alike {
            seed: DefaultHashBuilder::default().hash_one(rows),
            table: HashTable::new(),
            of_rows: vec![NULL; rows],
            first: Vec::new(),
        }
    }

    /// Rows with the same numbers are alike; those without have no entry.
    pub(super) fn by<const N: usize>(rows: usize, numbers: impl Fn(usize) -> Option<[u64; N]>) -> Entries {
        let mut alike = Alike::new(rows);
        let mut of_entries: Vec<[u64; N]> = Vec::new();
        let mut last = (None, NULL);
        for row in 0..rows {
            let Some(numbers) = numbers(row) else { continue };
            // Neighbours are often alike.
            if last.0 != Some(numbers) {
                let hash = numbers.into_iter().fold(alike.seed, mix);
                let entry = alike.entry(hash, row as u32, |entry| {
                    of_entries.get(entry as usize) == Some(&numbers)
                });
                if entry as usize == of_entries.len() {
                    of_entries.push(numbers);
                }
                last = (Some(numbers), entry);
            }
            alike.set(row as u32, last.1);
        }
        alike.done()
    }

    /// The entry of a row; a new one where no row with that hash `is_like` it. It tells of an entry.
    pub(super) fn entry(&mut self, hash: u64, row: u32, is_like: impl Fn(u32) -> bool) -> u32 {
        let found = self
            .table
            .find(hash, |(other, entry)| *other == hash && is_like(*entry));
        if let Some((_, entry)) = found {
            return *entry;
        }
        let entry = self.alone(row);
        self.table.insert_unique(hash, (hash, entry), |(hash, _)| *hash);
        entry
    }

    /// An entry of a row's own.
    pub(super) fn alone(&mut self, row: u32) -> u32 {
        self.first.push(row);
        self.first.len() as u32 - 1
    }

    pub(super) fn set(&mut self, row: u32, entry: u32) {
        if let Some(of_row) = self.of_rows.get_mut(row as usize) {
            *of_row = entry;
        }
    }

    pub(super) fn done(self) -> Entries {
        Entries::alike(self.of_rows, self.first)
    }
}

/// Adds a number to a hash; different numbers give different hashes of the same one.
pub(super) fn mix(hash: u64, number: u64) -> u64 {
    let mixed = (hash.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_the_same_numbers_are_alike() {
        let numbers = [[7, 0], [0, 7], [7, 0], [7, 0], [0, 7], [1, 1]];
        let entries = Alike::by(7, |row| numbers.get(row).copied());
        assert_eq!(entries.of_rows, [0, 1, 0, 0, 1, 2, NULL]);
        assert_eq!(
            (entries.first_rows(), entries.rows_of()),
            (&[0, 1, 5][..], vec![3, 2, 1])
        );
    }

    #[test]
    fn the_same_hash_does_not_make_rows_alike() {
        let mut alike = Alike::new(4);
        let mut entry = |row, is_like: fn(u32) -> bool| alike.entry(1, row, is_like);
        assert_eq!(entry(0, |_| false), 0);
        assert_eq!(entry(1, |_| false), 1);
        assert_eq!(entry(2, |entry| entry == 1), 1);
        assert_eq!(alike.alone(3), 2);
        assert_eq!(alike.first, [0, 1, 3]);
    }
}
