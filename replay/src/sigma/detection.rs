//! Detections: searches and their condition become one formula over fields, or one test of an audit record.

use std::sync::Arc;

use super::condition::{self, Condition};
use super::document::{Detection, Item, Search};
use super::logsource::{Mapping, Read};
use super::matcher::{self, Matcher, Want};
use super::placeholder::Placeholders;
use super::refusal::Refusal;
use crate::condition::Operator;
use crate::fields::{self, Type};
use crate::source::Origin;
use crate::typed::atom::{Atom, Extract, Right};
use crate::typed::compile::{self, Names};
use crate::typed::formula::{Formulas, NodeId};
use crate::typed::record::RecordTest;
use crate::typed::test::{StrTest, Test};
use crate::typed::transform::Transform;

/// A search, its fields still with the names that Sigma gives them.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    And(Vec<Tree>),
    Or(Vec<Tree>),
    Not(Box<Tree>),
    Leaf {
        /// Without one, the whole event.
        field: Option<String>,
        matcher: Matcher,
        origin: Origin,
    },
}

/// The tree of a condition of a detection.
pub(super) fn tree(
    detection: &Detection,
    (text, at): &(String, Origin),
    known: &Placeholders,
) -> Result<Tree, Refusal> {
    let names: Vec<&str> = detection.searches.iter().map(|s| s.0.as_str()).collect();
    let place = |offset: usize| Origin {
        start: at.start + offset,
        ..*at
    };
    let parsed = condition::parse(text, &names).map_err(|(offset, message)| Refusal::wrong(place(offset), message))?;
    of_condition(&parsed, detection, known)
}

fn of_condition(condition: &Condition, detection: &Detection, known: &Placeholders) -> Result<Tree, Refusal> {
    let all = |list: &[Condition]| {
        let trees = list.iter().map(|c| of_condition(c, detection, known));
        trees.collect::<Result<Vec<_>, _>>()
    };
    match condition {
        Condition::And(list) => all(list).map(Tree::And),
        Condition::Or(list) => all(list).map(Tree::Or),
        Condition::Not(inner) => Ok(Tree::Not(Box::new(of_condition(inner, detection, known)?))),
        Condition::Search(name) => match detection.searches.iter().find(|s| s.0 == *name) {
            Some((_, search)) => of_search(search, known),
            None => Err(Refusal::wrong(
                detection.origin,
                format!("there is no search identifier '{name}'"),
            )),
        },
    }
}

fn of_search(search: &Search, known: &Placeholders) -> Result<Tree, Refusal> {
    let all = |list: &[Search]| list.iter().map(|s| of_search(s, known)).collect::<Result<Vec<_>, _>>();
    match search {
        Search::All(list) => all(list).map(Tree::And),
        Search::Any(list) => all(list).map(Tree::Or),
        Search::Item(item) => of_item(item, known),
    }
}

fn of_item(item: &Item, known: &Placeholders) -> Result<Tree, Refusal> {
    let matcher = matcher::matcher(item, known)?;
    Ok(Tree::Leaf {
        field: item.field.clone(),
        matcher,
        origin: item.origin,
    })
}

/// The condition of a rule over the events of its log source.
pub(super) fn formula(tree: &Tree, mapping: &Mapping, formulas: &mut Formulas) -> Result<NodeId, Refusal> {
    if mapping.records {
        let raw = field("audit.raw").map_err(|e| Refusal::needs(any_origin(tree), e))?;
        let test = record(tree)?;
        return Ok(formulas.atom(Atom {
            left: raw,
            right: Right::Record(Arc::new(test)),
        }));
    }
    match tree {
        Tree::And(list) => {
            let nodes = list.iter().map(|t| formula(t, mapping, formulas));
            let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
            Ok(formulas.and(nodes))
        }
        Tree::Or(list) => {
            let nodes = list.iter().map(|t| formula(t, mapping, formulas));
            let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
            Ok(formulas.or(nodes))
        }
        Tree::Not(inner) => {
            let inner = formula(inner, mapping, formulas)?;
            Ok(formulas.not(inner))
        }
        Tree::Leaf { field, matcher, origin } => {
            let reads = match field {
                Some(name) => mapping.field(name).map_err(|e| Refusal::needs(*origin, e))?,
                None => mapping.text,
            };
            let leaf = Leaf {
                mapping,
                reads,
                keyword: field.is_none(),
                matcher,
            };
            leaf.node(formulas).map_err(|e| Refusal::needs(*origin, e))
        }
    }
}

fn any_origin(tree: &Tree) -> Origin {
    match tree {
        Tree::And(list) | Tree::Or(list) => list.first().map_or(Origin::NOWHERE, any_origin),
        Tree::Not(inner) => any_origin(inner),
        Tree::Leaf { origin, .. } => *origin,
    }
}

/// One item over fields.
struct Leaf<'a> {
    mapping: &'a Mapping,
    reads: &'a [Read],
    keyword: bool,
    matcher: &'a Matcher,
}

impl Leaf<'_> {
    fn node(&self, formulas: &mut Formulas) -> Result<NodeId, String> {
        let merged = merged(self.matcher, self.keyword);
        let mut nodes = Vec::with_capacity(merged.len());
        for want in &merged {
            nodes.push(self.want(want, formulas)?);
        }
        let node = match self.matcher.all {
            true => formulas.and(nodes),
            false => formulas.or(nodes),
        };
        Ok(if self.matcher.negated { formulas.not(node) } else { node })
    }

    /// A value over all ways to read the field: one of them must do.
    fn want(&self, want: &Wanted, formulas: &mut Formulas) -> Result<NodeId, String> {
        let (fold, test) = match want {
            Wanted::Exists(there) => {
                let node = self.exists(formulas)?;
                return Ok(if *there { node } else { formulas.not(node) });
            }
            Wanted::Empty(test) => {
                // Most texts of ctrace that are empty are absent.
                let exists = self.exists(formulas)?;
                let (absent, empty) = (formulas.not(exists), self.any(false, test, formulas)?);
                return Ok(formulas.or([absent, empty]));
            }
            Wanted::Field(op, name) => return self.fields(*op, name, formulas),
            Wanted::Test { fold, test } => (*fold, test),
        };
        self.any(fold, test, formulas)
    }

    fn exists(&self, formulas: &mut Formulas) -> Result<NodeId, String> {
        self.any(false, &Test::Exists, formulas)
    }

    fn any(&self, fold: bool, test: &Test, formulas: &mut Formulas) -> Result<NodeId, String> {
        let mut nodes = Vec::with_capacity(self.reads.len());
        for read in self.reads {
            nodes.push(match read {
                Read::Whether(condition) => whether(condition, test, formulas)?,
                _ => {
                    let left = self.part(extract(*read, fold)?)?;
                    atom(left, Right::Test(test.clone()), formulas)
                }
            });
        }
        Ok(formulas.or(nodes))
    }

    fn part(&self, left: Extract) -> Result<Extract, String> {
        let Some(part) = self.matcher.part else { return Ok(left) };
        if left.ty() != Type::Uint {
            return Err(format!("modifier {} wants a field that is a time", part.name()));
        }
        Ok(Extract::Apply(Transform::Part(part), Box::new(left)))
    }

    fn fields(&self, op: Operator, name: &str, formulas: &mut Formulas) -> Result<NodeId, String> {
        let others = self.mapping.field(name)?;
        let mut nodes = Vec::new();
        for left in self.reads {
            for right in others {
                let (left, right) = (extract(*left, self.matcher.fold)?, extract(*right, self.matcher.fold)?);
                nodes.push(atom(left, Right::Field(op, right), formulas));
            }
        }
        Ok(formulas.or(nodes))
    }
}

fn atom(left: Extract, right: Right, formulas: &mut Formulas) -> NodeId {
    formulas.atom(Atom { left, right })
}

/// What a value wants, ready to be asked.
enum Wanted {
    Exists(bool),
    /// Nothing is there, or an empty text.
    Empty(Test),
    Field(Operator, String),
    Test {
        fold: bool,
        test: Test,
    },
}

/// The values of a matcher; plain ones that are alternatives become one set.
fn merged(matcher: &Matcher, keyword: bool) -> Vec<Wanted> {
    let mut set: Vec<Box<[u8]>> = Vec::new();
    let mut out = Vec::new();
    for want in &matcher.wants {
        out.push(match want {
            Want::Null => Wanted::Exists(false),
            Want::Exists(there) => Wanted::Exists(*there),
            Want::Field(op, name) => Wanted::Field(*op, name.clone()),
            Want::Test(test) => Wanted::Test {
                fold: false,
                test: test.clone(),
            },
            Want::Pattern(pattern) => {
                let pattern = pattern.clone().within(keyword, keyword);
                match pattern.test(matcher.fold) {
                    Test::Str(StrTest::Compare(_, text)) if text.is_empty() => {
                        Wanted::Empty(Test::Str(StrTest::Compare(Operator::Eq, text)))
                    }
                    Test::Str(StrTest::Compare(_, text)) if !matcher.all && matcher.wants.len() > 1 => {
                        set.push(text);
                        continue;
                    }
                    test => Wanted::Test {
                        fold: matcher.fold,
                        test,
                    },
                }
            }
        });
    }
    if !set.is_empty() {
        set.sort_unstable_by(|a, b| crate::typed::test::by_length(a, b));
        set.dedup();
        out.push(Wanted::Test {
            fold: matcher.fold,
            test: Test::Str(StrTest::In(set.into())),
        });
    }
    out
}

/// The value of a field; with `fold` texts with small letters.
pub(super) fn extract(read: Read, fold: bool) -> Result<Extract, String> {
    let value = match read {
        Read::Field(name) => field(name)?,
        Read::Trimmed(name) => Extract::Apply(Transform::Trim, Box::new(field(name)?)),
        Read::Whether(condition) => return Err(format!("cannot be compared with a field: {condition}")),
    };
    Ok(match (fold, value.ty()) {
        (true, Type::Str | Type::Bytes) => Extract::Apply(Transform::ToLower, Box::new(value)),
        _ => value,
    })
}

fn field(name: &str) -> Result<Extract, String> {
    let (plain, arg) = match name.split_once('[') {
        Some((plain, arg)) => (plain, Some(arg.trim_end_matches(']'))),
        None => (name, None),
    };
    fields::resolve(plain, arg).map(Extract::Field).map_err(|e| e.message)
}

/// A truth that is compared with text.
fn whether(condition: &str, test: &Test, formulas: &mut Formulas) -> Result<NodeId, String> {
    let node = falco(condition, formulas)?;
    let holds = |text: &'static str| test.holds(&ctrace_trace::catalogue::Value::Str(text.as_bytes().into()));
    let not = formulas.not(node);
    let mut nodes = Vec::new();
    nodes.extend(holds("true").then_some(node));
    nodes.extend(holds("false").then_some(not));
    Ok(formulas.or(nodes))
}

/// The formula of a condition in Falco's language.
pub(super) fn falco(condition: &str, formulas: &mut Formulas) -> Result<NodeId, String> {
    let parsed = crate::condition::parse(condition, 0).map_err(|e| e.message)?;
    let mut errors = Vec::new();
    let node = compile::condition(&parsed, &mut NoNames, formulas, &mut errors);
    node.ok_or_else(|| errors.into_iter().map(|e| e.message).collect::<Vec<_>>().join("; "))
}

struct NoNames;

impl Names for NoNames {
    fn macro_node(
        &mut self,
        name: &str,
        loc: crate::source::Loc,
        _: &mut Formulas,
        errors: &mut Vec<compile::CompileError>,
    ) -> Option<NodeId> {
        errors.push(compile::CompileError::new(loc, format!("'{name}' is no field")));
        None
    }

    fn list_items(&mut self, _: &str, _: &mut Vec<compile::CompileError>) -> Option<Vec<crate::condition::ast::Value>> {
        None
    }
}

/// The same tree as a test of one audit record.
fn record(tree: &Tree) -> Result<RecordTest, Refusal> {
    let all = |list: &[Tree]| list.iter().map(record).collect::<Result<Vec<_>, _>>();
    match tree {
        Tree::And(list) => all(list).map(RecordTest::And),
        Tree::Or(list) => all(list).map(RecordTest::Or),
        Tree::Not(inner) => Ok(RecordTest::Not(Box::new(record(inner)?))),
        Tree::Leaf { field, matcher, origin } => {
            if matcher.part.is_some() {
                return Err(Refusal::needs(
                    *origin,
                    "audit records have no field that is a time".to_owned(),
                ));
            }
            let wants = merged(matcher, field.is_none()).into_iter();
            let tests: Vec<RecordTest> = wants.map(|want| record_leaf(field.as_deref(), want, matcher)).collect();
            let joined = if matcher.all {
                RecordTest::And(tests)
            } else {
                RecordTest::Or(tests)
            };
            Ok(if matcher.negated {
                RecordTest::Not(Box::new(joined))
            } else {
                joined
            })
        }
    }
}

fn record_leaf(field: Option<&str>, want: Wanted, matcher: &Matcher) -> RecordTest {
    let Some(name) = field else {
        return match want {
            Wanted::Test { fold, test } => RecordTest::Text { fold, test },
            // Every record has a text.
            Wanted::Exists(there) => RecordTest::Const(there),
            Wanted::Empty(_) | Wanted::Field(..) => RecordTest::Const(false),
        };
    };
    let of = |fold, test| RecordTest::Field {
        name: name.to_owned(),
        fold,
        test,
    };
    match want {
        Wanted::Test { fold, test } => of(fold, test),
        // Records tell an empty value from none.
        Wanted::Empty(test) => of(false, test),
        Wanted::Exists(true) => of(false, Test::Exists),
        Wanted::Exists(false) => RecordTest::Not(Box::new(of(false, Test::Exists))),
        Wanted::Field(op, right) => RecordTest::Fields {
            left: name.to_owned(),
            op,
            right,
            fold: matcher.fold,
        },
    }
}
