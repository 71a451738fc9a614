//! From syntax tree to formula: fields, operators and constants are checked against each other. All errors of a
//! condition are collected.

use super::atom::{Atom, Extract, Right};
use super::constant;
use super::formula::{Formulas, NodeId};
use super::test::{StrTest, Test};
use super::transform::Transform;
use crate::condition::Operator;
use crate::condition::ast::{Call, Check, Expr, Field, Operand, Right as AstRight, Value};
use crate::fields::{self, Arity, FieldError, FieldRef, Type};
use crate::source::Loc;

/// An error of a condition.
#[derive(Clone, Debug)]
pub(crate) struct CompileError {
    pub(crate) loc: Loc,
    pub(crate) message: String,
    pub(crate) suggestion: Option<String>,
    pub(crate) kind: ErrorKind,
}

/// What follows from a [`CompileError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The rule does not load.
    Wrong,
    /// An unknown field or event type: `skip-if-unknown-filter` leaves the rule out, else it does not load.
    Unknown,
    /// The rule loads: a field of Falco's that ctrace never records, so that comparisons with it are false.
    NeverRecorded,
}

impl CompileError {
    pub(crate) fn new(loc: Loc, message: impl Into<String>) -> CompileError {
        CompileError {
            loc,
            message: message.into(),
            suggestion: None,
            kind: ErrorKind::Wrong,
        }
    }

    fn unknown(loc: Loc, error: FieldError) -> CompileError {
        CompileError {
            loc,
            message: error.message,
            suggestion: error.suggestion,
            kind: ErrorKind::Unknown,
        }
    }
}

/// What names in a condition stand for, apart from fields.
pub(crate) trait Names {
    /// The formula of a macro; its errors go to `errors`.
    fn macro_node(
        &mut self,
        name: &str,
        loc: Loc,
        formulas: &mut Formulas,
        errors: &mut Vec<CompileError>,
    ) -> Option<NodeId>;
    /// The items of a list.
    fn list_items(&mut self, name: &str, errors: &mut Vec<CompileError>) -> Option<Vec<Value>>;
}

/// Compiles a condition; nothing when there were errors.
pub(crate) fn condition(
    expr: &Expr,
    names: &mut dyn Names,
    formulas: &mut Formulas,
    errors: &mut Vec<CompileError>,
) -> Option<NodeId> {
    let mut children = |list: &[Expr], formulas: &mut Formulas| -> Option<Vec<NodeId>> {
        let nodes: Vec<_> = list.iter().map(|e| condition(e, names, formulas, errors)).collect();
        nodes.into_iter().collect()
    };
    match expr {
        Expr::And(list) => children(list, formulas).map(|c| formulas.and(c)),
        Expr::Or(list) => children(list, formulas).map(|c| formulas.or(c)),
        Expr::Not(inner) => condition(inner, names, formulas, errors).map(|c| formulas.not(c)),
        Expr::Macro(name, loc) => names.macro_node(name, *loc, formulas, errors),
        Expr::Check(check) => match comparison(check, names, errors) {
            Ok(atom) if atom.is_never() => Some(formulas.constant(false)),
            Ok(atom) => Some(formulas.atom(atom)),
            Err(error) => {
                errors.push(error);
                None
            }
        },
    }
}

/// Compiles a field or transformer on its own, as output formats hold them. Fields that are never recorded are noted.
pub(crate) fn extract(operand: &Operand, notes: &mut Vec<CompileError>) -> Result<Extract, CompileError> {
    match operand {
        Operand::Field(f) => field(f, notes),
        Operand::Literal(v) => Ok(Extract::Constant(v.bytes.clone())),
        Operand::List(items) => items
            .iter()
            .map(|i| extract(i, notes))
            .collect::<Result<_, _>>()
            .map(Extract::List),
        Operand::Call(call) => transform(call, notes),
    }
}

fn field(f: &Field, notes: &mut Vec<CompileError>) -> Result<Extract, CompileError> {
    if let Some(why) = fields::unsupported(&f.name, f.arg.as_deref()) {
        let name = match &f.arg {
            Some(arg) => format!("{}[{arg}]", f.name),
            None => f.name.clone(),
        };
        let message = format!("field '{name}' is never recorded, comparisons with it are false: {why}");
        notes.push(CompileError {
            kind: ErrorKind::NeverRecorded,
            ..CompileError::new(f.loc, message)
        });
        return Ok(Extract::Absent(name));
    }
    fields::resolve(&f.name, f.arg.as_deref())
        .map(Extract::Field)
        .map_err(|e| CompileError::unknown(f.loc, e))
}

fn transform(call: &Call, notes: &mut Vec<CompileError>) -> Result<Extract, CompileError> {
    let error = |message: String| Err(CompileError::new(call.loc, message));
    let mut args = call
        .args
        .iter()
        .map(|a| extract(a, notes))
        .collect::<Result<Vec<_>, _>>()?;
    let name = call.function.as_str();
    if call.arg.is_some() && name != "getopt" {
        return error(format!("{name}() takes no argument in brackets"));
    }
    if let Some(field) = args.iter().find_map(unfit_for_transform) {
        return error(format!("field '{}' cannot be transformed", field.text));
    }
    match (name, Transform::of(name)) {
        (_, Some(t)) => {
            let [arg] = args.as_slice() else {
                return error(format!("{name}() takes one argument"));
            };
            if t.result(arg.ty(), arg.arity()).is_none() {
                return error(format!(
                    "{name}() does not fit '{}', which is {}",
                    arg.text(),
                    describe(arg)
                ));
            }
            Ok(Extract::Apply(t, Box::new(args.remove(0))))
        }
        ("concat", _) => {
            if args.len() < 2 || args.iter().any(|a| a.ty() != Type::Str || a.arity() == Arity::List) {
                return error("concat() takes two or more texts".to_owned());
            }
            Ok(Extract::Concat(args))
        }
        ("join", _) => match (args.pop(), args.pop(), args.is_empty()) {
            (Some(list), Some(separator), true) if list.arity() == Arity::List && separator.arity() == Arity::One => {
                Ok(Extract::Join(Box::new(separator), Box::new(list)))
            }
            _ => error("join() takes a separator and a list".to_owned()),
        },
        ("getopt", _) => options(call, args),
        _ => error(format!("{name}() is not supported")),
    }
}

/// `getopt(list, "options")`, with a letter in brackets or without.
fn options(call: &Call, mut args: Vec<Extract>) -> Result<Extract, CompileError> {
    let error = |message: &str| Err(CompileError::new(call.loc, message));
    let text = |extract: &Extract| extract.ty() == Type::Str && extract.arity() == Arity::One;
    let letter = match call.arg.as_deref().map(str::as_bytes) {
        None => None,
        Some([letter]) => Some(*letter),
        Some(_) => return error("the argument of getopt() is one letter"),
    };
    match (args.pop(), args.pop(), args.is_empty()) {
        (Some(options), Some(list), true) if list.arity() == Arity::List && text(&options) => {
            Ok(Extract::GetOpt(Box::new(list), Box::new(options), letter))
        }
        _ => error("getopt() takes a list and a text with the letters of options"),
    }
}

fn unfit_for_transform(extract: &Extract) -> Option<&FieldRef> {
    match extract {
        Extract::Field(f) if f.is_plain() || f.ty == Type::Net => Some(f),
        _ => None,
    }
}

fn describe(extract: &Extract) -> &'static str {
    if extract.arity() == Arity::List {
        "a list"
    } else {
        extract.ty().name()
    }
}

/// Compiles one comparison.
pub(crate) fn comparison(
    check: &Check,
    names: &mut dyn Names,
    errors: &mut Vec<CompileError>,
) -> Result<Atom, CompileError> {
    let left = extract(&check.left, errors)?;
    if matches!(left, Extract::Absent(_)) {
        return Ok(Atom {
            left,
            right: Right::Test(Test::Exists),
        });
    }
    check_operator(check, &left)?;
    let right = match &check.right {
        AstRight::Nothing => Right::Test(Test::Exists),
        AstRight::Operand(operand) => Right::Field(check.op, right_field(check, &left, operand, errors)?),
        AstRight::Value(value) => Right::Test(value_test(check, &left, value, names, errors)?),
        AstRight::List(values) => {
            let test = list_test(check, &left, values, names, errors)?;
            match (left.arity(), check.op) {
                (Arity::List, Operator::In) => Right::Every(test),
                _ => Right::Test(test),
            }
        }
    };
    Ok(Atom { left, right })
}

/// Which operators a type has, as in Falco (`flt_is_comparable`).
fn fits(op: Operator, ty: Type) -> bool {
    use Operator::{
        BContains, BStartsWith, Contains, EndsWith, Eq, Exists, Ge, Gt, In, Intersects, Le, Lt, Ne, StartsWith,
    };
    match ty {
        Type::Str => !matches!(op, BContains | BStartsWith),
        Type::Int | Type::Uint | Type::Port => matches!(op, Eq | Ne | Lt | Le | Gt | Ge | In | Intersects | Exists),
        Type::Bool | Type::Ip | Type::Net => matches!(op, Eq | Ne | In | Intersects | Exists),
        Type::Bytes => matches!(
            op,
            Eq | Ne | Contains | In | Exists | StartsWith | EndsWith | Intersects | BContains | BStartsWith
        ),
    }
}

fn check_operator(check: &Check, left: &Extract) -> Result<(), CompileError> {
    let list = left.arity() == Arity::List;
    let fits = match list {
        true => matches!(check.op, Operator::In | Operator::Intersects | Operator::Exists),
        false => fits(check.op, left.ty()),
    };
    if fits {
        return Ok(());
    }
    let message = format!(
        "operator '{}' does not fit '{}', which is {}",
        check.op.name(),
        left.text(),
        describe(left)
    );
    Err(CompileError::new(check.op_loc, message))
}

fn right_field(
    check: &Check,
    left: &Extract,
    operand: &Operand,
    notes: &mut Vec<CompileError>,
) -> Result<Extract, CompileError> {
    let right = extract(operand, notes)?;
    if matches!(right, Extract::Absent(_)) {
        return Ok(right);
    }
    let error = |message: String| Err(CompileError::new(check.op_loc, message));
    if matches!(check.op, Operator::Pmatch | Operator::Regex) {
        return error(format!("operator '{}' takes no field on its right", check.op.name()));
    }
    for side in [left, &right] {
        if let Extract::Field(f) = side
            && (f.is_plain() || f.ty == Type::Net)
        {
            return error(format!("field '{}' cannot be compared with another field", f.text));
        }
    }
    let lists = (left.arity() == Arity::List, right.arity() == Arity::List);
    if comparable(left.ty()) != comparable(right.ty()) || lists.0 != lists.1 {
        let (l, r) = (describe(left), describe(&right));
        return error(format!(
            "'{}' is {l}, '{}' is {r}: they cannot be compared",
            left.text(),
            right.text()
        ));
    }
    Ok(right)
}

/// Types that compare with each other.
fn comparable(ty: Type) -> Type {
    match ty {
        Type::Uint | Type::Port => Type::Int,
        ty => ty,
    }
}

fn value_test(
    check: &Check,
    left: &Extract,
    value: &Value,
    names: &mut dyn Names,
    errors: &mut Vec<CompileError>,
) -> Result<Test, CompileError> {
    let values = expand(std::slice::from_ref(value), names, errors);
    let [value] = values.as_slice() else {
        let message = format!(
            "'{}' is a list of {} items; operator '{}' takes one value",
            value.text(),
            values.len(),
            check.op.name()
        );
        return Err(CompileError::new(value.loc, message));
    };
    check_event_types(left, &values, errors)?;
    constant::single(left.ty(), check.op, &value.bytes).map_err(|e| CompileError::new(value.loc, e))
}

fn list_test(
    check: &Check,
    left: &Extract,
    values: &[Value],
    names: &mut dyn Names,
    errors: &mut Vec<CompileError>,
) -> Result<Test, CompileError> {
    let values = expand(values, names, errors);
    check_event_types(left, &values, errors)?;
    let Some(modifier) = check.modifier else {
        let bytes: Vec<&[u8]> = values.iter().map(|v| v.bytes.as_slice()).collect();
        return constant::list(left.ty(), check.op, &bytes)
            .map_err(|(i, message)| CompileError::new(values.get(i).map_or(check.op_loc, |v| v.loc), message));
    };
    let tests: Result<Vec<Test>, _> = values
        .iter()
        .map(|v| constant::single(left.ty(), check.op, &v.bytes).map_err(|e| CompileError::new(v.loc, e)))
        .collect();
    let tests = tests?;
    if tests.is_empty() {
        return Ok(Test::Str(StrTest::Never));
    }
    Ok(Test::Group(modifier, tests.into()))
}

/// Replaces the names of lists by their items.
fn expand(values: &[Value], names: &mut dyn Names, errors: &mut Vec<CompileError>) -> Vec<Value> {
    let mut out = Vec::with_capacity(values.len());
    for value in values {
        let items = match (value.quoted, std::str::from_utf8(&value.bytes)) {
            (false, Ok(name)) => names.list_items(name, errors),
            _ => None,
        };
        match items {
            Some(items) => out.extend(items),
            None => out.push(value.clone()),
        }
    }
    out
}

/// Refuses unknown names of event types. Falco does not look at those of `syscall.type`: there they are noted.
fn check_event_types(left: &Extract, values: &[Value], notes: &mut Vec<CompileError>) -> Result<(), CompileError> {
    let Extract::Field(field) = left else { return Ok(()) };
    if !field.is_event_type() {
        return Ok(());
    }
    for value in values {
        let checked = fields::check_event_type(&value.text());
        match checked.map_err(|e| CompileError::unknown(value.loc, e)) {
            Err(error) if field.text == "syscall.type" => notes.push(CompileError {
                kind: ErrorKind::NeverRecorded,
                ..error
            }),
            checked => checked?,
        }
    }
    Ok(())
}
