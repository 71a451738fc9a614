//! The distinct values of a column of a row group, in the order in which rows first use them.

use std::cmp::Ordering;
use std::hash::BuildHasher;

use arrow::datatypes::DataType;
use ctrace_trace::catalogue::Value;
use ctrace_trace::escape::lossless;
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::values;

/// The key of rows without a value.
pub(super) const NULL: u32 = u32::MAX;

/// What values are and how they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    Text,
    Signed,
    Unsigned,
    Bool,
}

impl ValueType {
    /// `None` for types whose columns have no dictionary here.
    pub(super) fn of(ty: &DataType) -> Option<ValueType> {
        Some(match ty {
            DataType::Utf8View => ValueType::Text,
            DataType::Int64 | DataType::Timestamp(..) | DataType::Duration(_) => ValueType::Signed,
            DataType::UInt64 => ValueType::Unsigned,
            DataType::Boolean => ValueType::Bool,
            _ => return None,
        })
    }

    /// Compares two values.
    pub(super) fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).unwrap_or_default();
        match self {
            ValueType::Text | ValueType::Bool => a.cmp(b),
            ValueType::Signed => number(a).cast_signed().cmp(&number(b).cast_signed()),
            ValueType::Unsigned => number(a).cmp(&number(b)),
        }
    }
}

/// Values as Parquet stores them, without lengths: numbers have eight bytes, truth values one.
#[derive(Debug)]
pub(super) struct Dictionary {
    pub(super) ty: ValueType,
    bytes: Vec<u8>,
    /// Where each value ends.
    ends: Vec<usize>,
    /// The key that was asked for last.
    last: u32,
    /// Whether a value found no room: a hostile block may make a long text of its own for every row.
    is_full: bool,
    table: HashTable<u32>,
    hashes: Vec<u64>,
    hasher: DefaultHashBuilder,
}

impl Dictionary {
    pub(super) fn new(ty: ValueType) -> Dictionary {
        Dictionary {
            ty,
            bytes: Vec::new(),
            ends: Vec::new(),
            last: NULL,
            is_full: false,
            table: HashTable::new(),
            hashes: Vec::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of all values.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Whether values are missing because there are too many.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    pub(super) fn get(&self, key: u32) -> &[u8] {
        let at = key as usize;
        let start = at
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or(0);
        let end = self.ends.get(at).copied().unwrap_or(start);
        self.bytes.get(start..end).unwrap_or_default()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len() as u32).map(|key| self.get(key))
    }

    /// Compares two values.
    pub(super) fn compare(&self, a: u32, b: u32) -> Ordering {
        self.ty.compare(self.get(a), self.get(b))
    }

    /// The key of a value; a new one where it was not there.
    pub(super) fn key(&mut self, value: &[u8]) -> u32 {
        // Neighbours are often equal.
        if self.last != NULL && self.get(self.last) == value {
            return self.last;
        }
        self.last = self.find_or_add(value);
        self.last
    }

    fn find_or_add(&mut self, value: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(value);
        let is_it = |key: &u32| self.hashes.get(*key as usize) == Some(&hash) && self.get(*key) == value;
        if let Some(key) = self.table.find(hash, is_it) {
            return *key;
        }
        if self.bytes.len() + value.len() > values::MAX_TEXT {
            self.is_full = true;
            return NULL;
        }
        let key = self.ends.len() as u32;
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
        self.hashes.push(hash);
        let Dictionary { table, hashes, .. } = self;
        table.insert_unique(hash, key, |key| hashes.get(*key as usize).copied().unwrap_or_default());
        key
    }

    /// The key of a field's value; [`NULL`] where it has none of this type.
    pub(super) fn key_of(&mut self, value: &Value<'_>) -> u32 {
        match (self.ty, value) {
            (_, Value::Absent) => NULL,
            (ValueType::Text, Value::Str(text)) => self.key(lossless(text).as_bytes()),
            (ValueType::Text, other) => self.key(other.to_string().as_bytes()),
            (ValueType::Bool, Value::Bool(truth)) => self.key(&[u8::from(*truth)]),
            (ValueType::Bool, _) => NULL,
            (ValueType::Signed, _) => values::int(value).map_or(NULL, |n| self.key(&n.to_le_bytes())),
            (ValueType::Unsigned, _) => values::uint(value).map_or(NULL, |n| self.key(&n.to_le_bytes())),
        }
    }
}

/// The distinct lists of a column: each as the keys of its items.
pub(super) struct Lists {
    /// Four bytes a key.
    lists: Dictionary,
    /// The keys of all lists, one behind the other.
    keys: Vec<u32>,
    /// Where the keys of each list end.
    ends: Vec<usize>,
    /// The values of all items.
    pub(super) items: Dictionary,
    /// The list at hand.
    list: Vec<u8>,
}

impl Lists {
    pub(super) fn new() -> Lists {
        Lists {
            lists: Dictionary::new(ValueType::Text),
            keys: Vec::new(),
            ends: Vec::new(),
            items: Dictionary::new(ValueType::Text),
            list: Vec::new(),
        }
    }

    /// The items of a list; `None` for [`NULL`].
    pub(super) fn get(&self, list: u32) -> Option<&[u32]> {
        let end = *self.ends.get(list as usize)?;
        let before = (list as usize).checked_sub(1).and_then(|at| self.ends.get(at));
        self.keys.get(before.copied().unwrap_or(0)..end)
    }

    /// The items of all lists.
    pub(super) fn all(&self) -> Vec<Vec<u32>> {
        let lists = 0..self.lists.len() as u32;
        lists.map(|list| self.get(list).unwrap_or_default().to_vec()).collect()
    }

    /// The key of a field's value; [`NULL`] where it is no list.
    pub(super) fn key_of(&mut self, value: &Value<'_>) -> u32 {
        let Value::List(items) = value else { return NULL };
        self.list.clear();
        for item in items {
            let key = self.items.key(lossless(item).as_bytes());
            self.list.extend_from_slice(&key.to_le_bytes());
        }
        let list = self.lists.key(&self.list);
        if self.lists.len() > self.ends.len() {
            let (keys, _) = self.list.as_chunks();
            self.keys.extend(keys.iter().map(|key| u32::from_le_bytes(*key)));
            self.ends.push(self.keys.len());
        }
        list
    }

    /// Whether values are missing because there are too many.
    pub(super) fn is_full(&self) -> bool {
        self.items.is_full() || self.lists.is_full()
    }
}

/// The distinct values of a column.
pub(super) enum Values {
    Single(Dictionary),
    Lists(Lists),
}

impl Values {
    /// `None` for types whose columns have no dictionary here.
    pub(super) fn of(ty: &DataType) -> Option<Values> {
        match ty {
            DataType::List(_) => Some(Values::Lists(Lists::new())),
            other => ValueType::of(other).map(|ty| Values::Single(Dictionary::new(ty))),
        }
    }

    /// The key of a field's value; [`NULL`] where it has none of this type.
    pub(super) fn key_of(&mut self, value: &Value<'_>) -> u32 {
        match self {
            Values::Single(values) => values.key_of(value),
            Values::Lists(lists) => lists.key_of(value),
        }
    }

    /// What pages are made of.
    pub(super) fn distinct(&self) -> Distinct<'_> {
        match self {
            Values::Single(dictionary) => Distinct {
                dictionary,
                lists: None,
            },
            Values::Lists(lists) => Distinct {
                dictionary: &lists.items,
                lists: Some(lists),
            },
        }
    }

    /// Whether values are missing because there are too many.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Values::Single(values) => values.is_full(),
            Values::Lists(lists) => lists.is_full(),
        }
    }
}

/// What is known of a column's distinct values.
#[derive(Clone, Copy)]
pub(super) struct Distinct<'a> {
    pub(super) dictionary: &'a Dictionary,
    /// The lists, where rows have lists of values.
    pub(super) lists: Option<&'a Lists>,
}

impl Distinct<'_> {
    /// Whether all rows are null.
    pub(super) fn is_empty(&self) -> bool {
        match self.lists {
            Some(lists) => lists.lists.len() == 0,
            None => self.dictionary.len() == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(items: &[&'static str]) -> Value<'static> {
        Value::List(items.iter().map(|i| i.as_bytes().into()).collect())
    }

    #[test]
    fn equal_values_have_one_key_and_order_follows_the_type() {
        let mut dictionary = Dictionary::new(ValueType::Text);
        let mut key = |text: &'static str| dictionary.key_of(&Value::text(text.as_bytes()));
        assert_eq!(
            [key("b"), key(""), key("b"), key("a longer text"), key("b")],
            [0, NULL, 0, 1, 0]
        );
        assert_eq!(dictionary.key_of(&Value::Str(b"".into())), 2, "an empty text is one");
        assert_eq!(dictionary.key_of(&Value::Str(b"\xff".into())), dictionary.key(b"\\xff"));
        assert_eq!(dictionary.key_of(&Value::Int(-1)), dictionary.key(b"-1"));
        assert_eq!(dictionary.compare(1, 0), Ordering::Less);
        let mut numbers = Dictionary::new(ValueType::Signed);
        let key = |n: i64, numbers: &mut Dictionary| numbers.key_of(&Value::Int(n));
        assert_eq!([300, -1, 2].map(|n| key(n, &mut numbers)), [0, 1, 2]);
        assert_eq!(
            (numbers.compare(0, 2), numbers.compare(1, 2)),
            (Ordering::Greater, Ordering::Less)
        );
        let first: Vec<u32> = (0..5000).map(|n| key(n, &mut numbers)).collect();
        let again: Vec<u32> = (0..5000).map(|n| key(n, &mut numbers)).collect();
        assert_eq!((first, numbers.len()), (again, 5001));
        assert_eq!(numbers.key_of(&Value::Uint(u64::MAX)), NULL, "no signed number");
        let mut truths = Dictionary::new(ValueType::Bool);
        let keys = [Value::Bool(true), Value::Int(1), Value::Bool(false)].map(|v| truths.key_of(&v));
        assert_eq!(keys, [0, NULL, 1]);
    }

    #[test]
    fn equal_lists_have_one_key() {
        let mut known = Lists::new();
        let values = [
            texts(&["a", "b"]),
            texts(&[]),
            texts(&["b"]),
            texts(&["a", "b"]),
            Value::Absent,
        ];
        assert_eq!(values.map(|v| known.key_of(&v)), [0, 1, 2, 0, NULL]);
        assert_eq!(known.all(), [vec![0, 1], vec![], vec![1]]);
        assert_eq!(known.get(NULL), None);
    }

    #[test]
    fn too_many_texts_are_noticed() {
        let mut dictionary = Dictionary::new(ValueType::Text);
        dictionary.bytes = vec![0; values::MAX_TEXT];
        assert_eq!(dictionary.key(b""), 0);
        assert!(!dictionary.is_full());
        assert_eq!(dictionary.key(b"x"), NULL);
        assert!(dictionary.is_full());
    }
}
