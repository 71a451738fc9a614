//! The comparison operators, declared once: their spelling and what may stand to their right.

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operator {
    Exists,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
    Contains,
    IContains,
    BContains,
    StartsWith,
    BStartsWith,
    EndsWith,
    Glob,
    IGlob,
    Regex,
    In,
    Intersects,
    Pmatch,
}

/// What an operator takes on its right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    Number,
    Text,
    List,
}

/// Operators with their spelling. Longer symbols stand before the ones they begin with.
const SPELLINGS: [(&str, Operator, Takes); 20] = [
    ("exists", Operator::Exists, Takes::Nothing),
    ("<=", Operator::Le, Takes::Number),
    ("<", Operator::Lt, Takes::Number),
    (">=", Operator::Ge, Takes::Number),
    (">", Operator::Gt, Takes::Number),
    ("==", Operator::Eq, Takes::Text),
    ("=", Operator::Eq, Takes::Text),
    ("!=", Operator::Ne, Takes::Text),
    ("contains", Operator::Contains, Takes::Text),
    ("icontains", Operator::IContains, Takes::Text),
    ("bcontains", Operator::BContains, Takes::Text),
    ("startswith", Operator::StartsWith, Takes::Text),
    ("bstartswith", Operator::BStartsWith, Takes::Text),
    ("endswith", Operator::EndsWith, Takes::Text),
    ("glob", Operator::Glob, Takes::Text),
    ("iglob", Operator::IGlob, Takes::Text),
    ("regex", Operator::Regex, Takes::Text),
    ("in", Operator::In, Takes::List),
    ("intersects", Operator::Intersects, Takes::List),
    ("pmatch", Operator::Pmatch, Takes::List),
];

impl Operator {
    /// The spelling that messages use.
    pub(crate) fn name(self) -> &'static str {
        SPELLINGS.iter().rev().find(|s| s.1 == self).map_or("", |s| s.0)
    }

    pub(crate) fn takes(self) -> Takes {
        SPELLINGS.iter().find(|s| s.1 == self).map_or(Takes::Nothing, |s| s.2)
    }
}

/// Every spelling, for messages.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SPELLINGS.iter().map(|s| s.0)
}

/// The operator that `text` begins with, and its length. Words must end at a word boundary.
pub(crate) fn lex(text: &str) -> Option<(Operator, usize)> {
    let word = word_len(text);
    SPELLINGS
        .iter()
        .find(|(name, ..)| {
            if word > 0 {
                text.get(..word) == Some(*name)
            } else {
                text.starts_with(name)
            }
        })
        .map(|(name, op, _)| (*op, name.len()))
}

/// Length of the word at the beginning of `text`.
pub(crate) fn word_len(text: &str) -> usize {
    text.bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
        .count()
}

/// How a text operator combines over a list of values: `startswith oneof (a, b)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Modifier {
    /// Exactly one value matches.
    One,
    /// At least one value matches.
    Any,
    /// Every value matches.
    All,
}

impl Modifier {
    /// The modifier of a word.
    pub(crate) fn of(word: &str) -> Option<Modifier> {
        match word {
            "oneof" => Some(Modifier::One),
            "anyof" => Some(Modifier::Any),
            "allof" => Some(Modifier::All),
            _ => None,
        }
    }
}

/// Operator and modifier of a whole text such as `in` or `startswith anyof`, as exceptions name them.
pub(crate) fn operator_of(text: &str) -> Option<(Operator, Option<Modifier>)> {
    let mut words = text.split_whitespace();
    let first = words.next()?;
    let (op, len) = lex(first)?;
    if len != first.len() {
        return None;
    }
    let Some(second) = words.next() else {
        return Some((op, None));
    };
    let modifier = Modifier::of(second)?;
    (op.takes() == Takes::Text && words.next().is_none()).then_some((op, Some(modifier)))
}
