//! Which parts of a condition decided.

use super::{Explained, Step};

/// A comparison that decided, with the macros and exceptions that it stands in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deciding {
    /// Names of macros and exceptions, outermost first.
    pub path: Vec<String>,
    /// The comparison as it was written.
    pub text: String,
    /// What it looked at.
    pub value: String,
    /// Whether it holds.
    pub holds: bool,
}

impl Deciding {
    /// In words: `macro in_container: container.id != host is false, the value is host`.
    pub fn sentence(&self) -> String {
        let within = self.path.iter().fold(String::new(), |out, name| out + name + ": ");
        format!("{within}{} is {}, the value is {}", self.text, self.holds, self.value)
    }
}

impl Explained {
    /// Whether a part decided, given that this whole did: all parts of an `and` that holds and those of an `or` that
    /// does not; of an `and` that does not hold and an `or` that does, each part that alone suffices.
    pub fn is_decided_by(&self, child: &Explained) -> bool {
        match self.step {
            Step::And | Step::Or => child.holds == self.holds,
            _ => true,
        }
    }

    /// The comparisons that decided, in the order of the condition; each macro is entered once.
    pub fn deciding(&self) -> Vec<Deciding> {
        let mut out = Vec::new();
        let mut entered = Vec::new();
        self.walk(&mut Vec::new(), &mut entered, true, &mut out);
        out
    }

    /// All comparisons, those that decided nothing too.
    pub(super) fn all(&self) -> Vec<Deciding> {
        let mut out = Vec::new();
        self.walk(&mut Vec::new(), &mut Vec::new(), false, &mut out);
        out
    }

    fn walk<'a>(&'a self, path: &mut Vec<String>, entered: &mut Vec<&'a str>, deciding: bool, out: &mut Vec<Deciding>) {
        let name = match &self.step {
            Step::Macro(name) if entered.contains(&name.as_str()) => return,
            Step::Macro(name) => {
                entered.push(name);
                Some(format!("macro {name}"))
            }
            Step::Exception(name) => Some(format!("exception {name}")),
            Step::Check { text, value } => {
                out.push(Deciding {
                    path: path.clone(),
                    text: text.clone(),
                    value: value.clone(),
                    holds: self.holds,
                });
                None
            }
            _ => None,
        };
        let named = name.is_some();
        path.extend(name);
        for child in self.children.iter().filter(|c| !deciding || self.is_decided_by(c)) {
            child.walk(path, entered, deciding, out);
        }
        if named {
            path.pop();
        }
    }
}
