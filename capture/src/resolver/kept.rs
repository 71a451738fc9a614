//! What is remembered up to a bound: what ended is forgotten before what goes on, and of these the oldest first.

use std::collections::BTreeMap;
use std::hash::Hash;

use hashbrown::{Equivalent, HashMap};

/// Values by key, with the order in which they are forgotten.
#[derive(Debug)]
pub(super) struct Kept<K, V> {
    entries: HashMap<K, Entry<V>>,
    order: BTreeMap<Place, K>,
    next: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    place: Place,
}

/// Whether it goes on, and a number that grows.
type Place = (bool, u64);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Kept<K, V> {
        Kept {
            entries: HashMap::default(),
            order: BTreeMap::new(),
            next: 0,
        }
    }
}

impl<K: Clone + Eq + Hash, V> Kept<K, V> {
    pub(super) fn get<Q: Equivalent<K> + Hash + ?Sized>(&self, key: &Q) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    pub(super) fn get_mut<Q: Equivalent<K> + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V> {
        self.entries.get_mut(key).map(|entry| &mut entry.value)
    }

    /// Adds something that goes on, or takes over what is said of it now: what was said before.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(known) = self.get_mut(&key) {
            return Some(std::mem::replace(known, value));
        }
        let place = self.place(true);
        self.order.insert(place, key.clone());
        self.entries.insert(key, Entry { value, place });
        None
    }

    /// Something ended, or goes on after it ended.
    pub(super) fn mark<Q: Equivalent<K> + Hash + ?Sized>(&mut self, key: &Q, goes_on: bool) {
        let place = self.place(goes_on);
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.place.0 != goes_on) else {
            return;
        };
        if let Some(key) = self.order.remove(&entry.place) {
            self.order.insert(place, key);
            entry.place = place;
        }
    }

    /// Forgets one; what that was.
    pub(super) fn forget_one(&mut self) -> Option<V> {
        let (_, key) = self.order.pop_first()?;
        self.entries.remove(&key).map(|entry| entry.value)
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// The last place among what goes on, or among what ended.
    fn place(&mut self, goes_on: bool) -> Place {
        self.next += 1;
        (goes_on, self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_is_forgotten_first_and_then_the_oldest() {
        let mut kept = Kept::default();
        for n in 0..6 {
            kept.insert(n, n);
        }
        kept.mark(&4, false);
        kept.mark(&2, false);
        kept.mark(&5, false);
        kept.mark(&5, true);
        kept.mark(&9, false);
        assert_eq!((kept.insert(0, 10), kept.len()), (Some(0), 6));
        let order: Vec<_> = std::iter::from_fn(|| kept.forget_one()).collect();
        assert_eq!(order, [4, 2, 10, 1, 3, 5]);
        assert!(kept.get(&0).is_none() && kept.len() == 0);
    }
}
