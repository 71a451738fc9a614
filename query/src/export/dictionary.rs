//! The distinct values of a column of a row group, in the order in which rows first use them.

use std::cmp::Ordering;
use std::hash::BuildHasher;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, DurationNanosecondType, Int64Type, TimestampNanosecondType, UInt64Type};
use hashbrown::{DefaultHashBuilder, HashTable};

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

    fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
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
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Dictionary {
    pub(super) fn new(ty: ValueType) -> Dictionary {
        Dictionary {
            ty,
            bytes: Vec::new(),
            ends: Vec::new(),
            table: HashTable::new(),
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
        let hash = self.hasher.hash_one(value);
        if let Some(key) = self.table.find(hash, |key| self.get(*key) == value) {
            return *key;
        }
        let key = self.ends.len() as u32;
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
        let Dictionary {
            bytes, ends, hasher, ..
        } = self;
        let hash_of = |key: &u32| {
            let at = *key as usize;
            let start = at
                .checked_sub(1)
                .and_then(|before| ends.get(before))
                .copied()
                .unwrap_or(0);
            let end = ends.get(at).copied().unwrap_or(start);
            hasher.hash_one(bytes.get(start..end).unwrap_or_default())
        };
        self.table.insert_unique(hash, key, hash_of);
        key
    }

    /// Appends the keys of the values of an array of this type; those not wanted have none.
    pub(super) fn add_keys(&mut self, array: &dyn Array, wanted: impl Fn(usize) -> bool, out: &mut Vec<u32>) {
        match array.data_type() {
            DataType::Utf8View => {
                let texts = array.as_string_view();
                self.keys_of(array, wanted, out, |i| texts.value(i))
            }
            DataType::Boolean => {
                let truths = array.as_boolean();
                self.keys_of(array, wanted, out, |i| [u8::from(truths.value(i))])
            }
            DataType::UInt64 => {
                let numbers = array.as_primitive::<UInt64Type>();
                self.keys_of(array, wanted, out, |i| numbers.value(i).to_le_bytes())
            }
            DataType::Int64 => {
                let numbers = array.as_primitive::<Int64Type>();
                self.keys_of(array, wanted, out, |i| numbers.value(i).to_le_bytes())
            }
            DataType::Timestamp(..) => {
                let numbers = array.as_primitive::<TimestampNanosecondType>();
                self.keys_of(array, wanted, out, |i| numbers.value(i).to_le_bytes())
            }
            DataType::Duration(_) => {
                let numbers = array.as_primitive::<DurationNanosecondType>();
                self.keys_of(array, wanted, out, |i| numbers.value(i).to_le_bytes())
            }
            // `ValueType::of` gives no dictionary to others.
            _ => out.resize(out.len() + array.len(), NULL),
        }
    }

    fn keys_of<V: AsRef<[u8]>>(
        &mut self,
        array: &dyn Array,
        wanted: impl Fn(usize) -> bool,
        out: &mut Vec<u32>,
        value: impl Fn(usize) -> V,
    ) {
        if array.null_count() == array.len() {
            out.resize(out.len() + array.len(), NULL);
            return;
        }
        // Neighbours are often equal.
        let mut last: Option<(V, u32)> = None;
        let mut key = |i: usize| {
            if array.is_null(i) || !wanted(i) {
                return NULL;
            }
            let value = value(i);
            match &last {
                Some((same, key)) if same.as_ref() == value.as_ref() => *key,
                _ => {
                    let key = self.key(value.as_ref());
                    last = Some((value, key));
                    key
                }
            }
        };
        out.extend((0..array.len()).map(&mut key));
    }
}

/// The distinct lists of a column: each as the keys of its items, four bytes a key.
pub(super) struct Lists {
    lists: Dictionary,
    /// The values of all items.
    pub(super) items: Dictionary,
}

impl Lists {
    pub(super) fn new() -> Lists {
        Lists {
            lists: Dictionary::new(ValueType::Text),
            items: Dictionary::new(ValueType::Text),
        }
    }

    /// The items of a list.
    pub(super) fn get(&self, list: u32) -> impl Iterator<Item = u32> {
        let bytes = self.lists.get(list).chunks_exact(4);
        bytes.map(|b| b.try_into().map_or(NULL, u32::from_le_bytes))
    }

    /// Appends the keys of the lists of an array of lists of texts; those not wanted have none.
    pub(super) fn add_keys(&mut self, array: &dyn Array, wanted: impl Fn(usize) -> bool, out: &mut Vec<u32>) {
        let Some(lists) = array.as_list_opt::<i32>().filter(|l| l.null_count() < l.len()) else {
            out.resize(out.len() + array.len(), NULL);
            return;
        };
        let mut list = Vec::new();
        for i in 0..lists.len() {
            if lists.is_null(i) || !wanted(i) {
                out.push(NULL);
                continue;
            }
            list.clear();
            let items = lists.value(i);
            for item in items.as_string::<i32>() {
                let key = item.map_or(NULL, |text| self.items.key(text.as_bytes()));
                list.extend_from_slice(&key.to_le_bytes());
            }
            out.push(self.lists.key(&list));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, ListArray, StringArray, StringViewArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;
    use std::sync::Arc;

    fn keys(dictionary: &mut Dictionary, array: &dyn Array, wanted: impl Fn(usize) -> bool) -> Vec<u32> {
        let mut out = Vec::new();
        dictionary.add_keys(array, wanted, &mut out);
        out
    }

    #[test]
    fn equal_values_have_one_key_and_order_follows_the_type() {
        let mut texts = Dictionary::new(ValueType::Text);
        let array = StringViewArray::from(vec![
            Some("b"),
            None,
            Some("b"),
            Some(""),
            Some("a much longer text"),
            Some(""),
        ]);
        assert_eq!(keys(&mut texts, &array, |i| i != 4), [0, NULL, 0, 1, NULL, 1]);
        assert_eq!(keys(&mut texts, &array, |_| true), [0, NULL, 0, 1, 2, 1]);
        assert_eq!(texts.compare(2, 0), Ordering::Less);
        let mut numbers = Dictionary::new(ValueType::Signed);
        assert_eq!(
            keys(&mut numbers, &Int64Array::from(vec![300, -1, 2]), |_| true),
            [0, 1, 2]
        );
        assert_eq!(
            (numbers.compare(0, 2), numbers.compare(1, 2)),
            (Ordering::Greater, Ordering::Less)
        );
        let many: Vec<i64> = (0..5000).collect();
        let first = keys(&mut numbers, &Int64Array::from(many.clone()), |_| true);
        assert_eq!(keys(&mut numbers, &Int64Array::from(many), |_| true), first);
        assert_eq!(numbers.len(), 5001);
    }

    #[test]
    fn equal_lists_have_one_key() {
        let items = StringArray::from(vec![Some("a"), None, Some("b"), Some("a"), None]);
        let field = Arc::new(Field::new_list_field(DataType::Utf8, true));
        let lists = ListArray::new(field, OffsetBuffer::from_lengths([2, 0, 1, 2]), Arc::new(items), None);
        let (mut known, mut keys) = (Lists::new(), Vec::new());
        known.add_keys(&lists, |_| true, &mut keys);
        assert_eq!(keys, [0, 1, 2, 0]);
        let items: Vec<Vec<u32>> = (0..3).map(|list| known.get(list).collect()).collect();
        assert_eq!(items, [vec![0, NULL], vec![], vec![1]]);
    }
}
