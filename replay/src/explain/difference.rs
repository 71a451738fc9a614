//! Which comparisons are responsible for two versions of a rule disagreeing about one event.

use super::{Deciding, Explained};

/// A version of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that fires.
    Firing,
    /// The one that does not.
    Silent,
}

/// The comparisons responsible, and in which version they stand, given the condition of the version that fires on an event and of the one that does not.
///
/// First those that hold the second one back and that the first does not have, or finds true: a narrowed list, a new
/// exception, a comparison that was added. Where there are none, those that let the first one fire and that the second
/// lacks: a part of an `or` that was taken out. Where all comparisons agree, it is how they are joined, and all that
/// hold the second one back are told.
pub fn responsible(firing: &Explained, silent: &Explained) -> (Side, Vec<Deciding>) {
    let against = silent.deciding();
    let known = firing.all();
    let same = |d: &Deciding, in_other: &[Deciding]| in_other.iter().any(|o| o.text == d.text && o.holds == d.holds);
    let new: Vec<Deciding> = against.iter().filter(|d| !same(d, &known)).cloned().collect();
    if !new.is_empty() {
        return (Side::Silent, new);
    }
    let others = silent.all();
    let gone: Vec<Deciding> = firing.deciding().into_iter().filter(|d| !same(d, &others)).collect();
    if gone.is_empty() {
        (Side::Silent, against)
    } else {
        (Side::Firing, gone)
    }
}
