//! What yields values, in SQL.

use ctrace_trace::catalogue::{Field, FieldArg, FieldType};

use super::{NotExpressible, literal};
use crate::fields::{Arity, FieldRef, Type};
use crate::table::place::{self, InTable};
use crate::typed::atom::Extract;
use crate::typed::transform::Transform;

/// Values as SQL has them; absent ones are null.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Text(Text),
    /// A number; the flag tells whether its column is unsigned.
    Number(String, bool),
    Bool(String),
    /// An address, written out.
    Ip(String),
    /// A list of texts.
    Texts(String),
    /// Several, each of which may be absent.
    Each(Vec<Shape>),
}

/// A text, or what it is once the case of its letters is changed.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) sql: String,
    pub(super) fold: Fold,
}

/// Changes of the case of ASCII letters. SQL's own change those of all alphabets, so tests fold instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    None,
    Lower,
    Upper,
}

impl Fold {
    /// What a byte becomes.
    pub(super) fn of(self, byte: u8) -> u8 {
        match self {
            Fold::None => byte,
            Fold::Lower => byte.to_ascii_lowercase(),
            Fold::Upper => byte.to_ascii_uppercase(),
        }
    }
}

pub(super) fn beyond<T>(what: &str, why: &'static str) -> Result<T, NotExpressible> {
    Err(NotExpressible {
        field: what.to_owned(),
        why,
    })
}

impl Shape {
    fn plain(sql: String) -> Shape {
        Shape::Text(Text { sql, fold: Fold::None })
    }

    /// As text, as comparisons of texts see it.
    pub(super) fn into_text(self, what: &str) -> Result<Text, NotExpressible> {
        match self {
            Shape::Text(text) => Ok(text),
            Shape::Ip(sql) => Ok(Text { sql, fold: Fold::None }),
            Shape::Number(sql, _) | Shape::Bool(sql) => Ok(Text {
                sql: format!("CAST({sql} AS VARCHAR)"),
                fold: Fold::None,
            }),
            Shape::Texts(_) | Shape::Each(_) => beyond(what, "a list is no text"),
        }
    }

    /// That there is a value.
    pub(super) fn present(&self) -> String {
        match self {
            Shape::Text(Text { sql, .. }) | Shape::Number(sql, _) | Shape::Bool(sql) | Shape::Ip(sql) => {
                format!("{sql} IS NOT NULL")
            }
            Shape::Texts(sql) => format!("cardinality({sql}) > 0"),
            Shape::Each(shapes) => {
                let each: Vec<String> = shapes.iter().map(Shape::present).collect();
                each.join(" OR ")
            }
        }
    }
}

/// The values of an extract.
pub(super) fn shape(extract: &Extract) -> Result<Shape, NotExpressible> {
    match extract {
        Extract::Field(field) => of_field(field),
        Extract::Absent(name) => beyond(name, "it is never recorded"),
        Extract::Constant(bytes) => Ok(Shape::plain(literal::text(bytes))),
        Extract::Apply(transform, inner) => apply(*transform, inner, extract),
        Extract::Concat(parts) => {
            let texts: Vec<String> = parts.iter().map(unfolded).collect::<Result<_, _>>()?;
            Ok(Shape::plain(format!("({})", texts.join(" || "))))
        }
        Extract::First(parts) => {
            let texts: Vec<String> = parts.iter().map(unfolded).collect::<Result<_, _>>()?;
            Ok(Shape::plain(format!("coalesce({})", texts.join(", "))))
        }
        Extract::GetOpt(..) => beyond(&extract.text(), "SQL does not look for options"),
        Extract::List(parts) => parts.iter().map(shape).collect::<Result<_, _>>().map(Shape::Each),
        Extract::Join(separator, items) => match (separator.as_ref(), items.as_ref()) {
            (Extract::Constant(separator), Extract::List(parts)) => {
                let texts: Vec<String> = parts.iter().map(unfolded).collect::<Result<_, _>>()?;
                let separator = literal::text(separator);
                Ok(Shape::plain(format!("concat_ws({separator}, {})", texts.join(", "))))
            }
            _ => beyond(&extract.text(), "SQL joins lists of single fields only"),
        },
    }
}

/// As text whose letters are as they are.
fn unfolded(extract: &Extract) -> Result<String, NotExpressible> {
    let text = shape(extract)?.into_text(&extract.text())?;
    match text.fold {
        Fold::None => Ok(text.sql),
        _ => beyond(&extract.text(), "SQL changes the case of letters of all alphabets"),
    }
}

fn of_field(field: &FieldRef) -> Result<Shape, NotExpressible> {
    let parts: Vec<Shape> = field
        .parts
        .iter()
        .map(|(f, arg)| of_part(field, f, arg))
        .collect::<Result<_, _>>()?;
    match (field.arity, parts.len()) {
        (Arity::Ends, _) => Ok(Shape::Each(parts)),
        _ => match parts.into_iter().next() {
            Some(shape) => Ok(shape),
            None => beyond(&field.text, "it is never recorded"),
        },
    }
}

fn of_part(field: &FieldRef, part: &Field, arg: &FieldArg) -> Result<Shape, NotExpressible> {
    Ok(match place::find(part, arg) {
        // An own value in place of an ancestor's.
        InTable::Column(column) if *arg != FieldArg::None => match column {
            "proc_pid" => Shape::Number(column.to_owned(), false),
            _ => Shape::plain(column.to_owned()),
        },
        InTable::Column(column) => typed(column.to_owned(), part.ty),
        InTable::Item(column, at) => Shape::plain(format!("{column}[{at}]")),
        InTable::Text(column) => Shape::plain(format!("CAST({column} AS VARCHAR)")),
        InTable::Made(sql, _) => match part.ty {
            FieldType::Str => Shape::plain(format!("({sql})")),
            FieldType::Bool => Shape::Bool(format!("({sql})")),
            _ => Shape::Number(format!("({sql})"), false),
        },
        InTable::Packed(column, name) => {
            let mark = literal::text(format!("\u{1f}{name}=").as_bytes());
            let value = format!("split_part(split_part({column}, {mark}, 2), '\u{1f}', 1)");
            Shape::plain(format!("CASE WHEN contains({column}, {mark}) THEN {value} END"))
        }
        InTable::Rebuilt(_) => return beyond(&field.text, "SQL does not look into it"),
        InTable::Nowhere => return beyond(&field.text, "the table has no column with it"),
    })
}

fn typed(column: String, ty: FieldType) -> Shape {
    match ty {
        FieldType::Str => Shape::plain(column),
        FieldType::Ip => Shape::Ip(column),
        FieldType::List => Shape::Texts(column),
        FieldType::Bool => Shape::Bool(column),
        FieldType::Int => Shape::Number(column, false),
        FieldType::Uint => Shape::Number(column, true),
        // Nanoseconds.
        FieldType::Timestamp | FieldType::Duration => Shape::Number(format!("CAST({column} AS BIGINT)"), false),
    }
}

fn apply(transform: Transform, inner: &Extract, whole: &Extract) -> Result<Shape, NotExpressible> {
    let what = whole.text();
    let value = shape(inner)?;
    let text = match (transform, value) {
        (Transform::Len, Shape::Texts(sql)) => {
            return Ok(Shape::Number(format!("coalesce(cardinality({sql}), 0)"), true));
        }
        (Transform::Len, Shape::Text(_)) if matches!(inner, Extract::Field(f) if f.ty == Type::Bytes) => {
            return beyond(&what, "a column's text is longer than the bytes that are no UTF-8");
        }
        (Transform::Part(part), Shape::Number(sql, _)) => {
            let time = format!("to_timestamp_nanos({sql})");
            return Ok(Shape::Number(
                format!("CAST(date_part('{}', {time}) AS BIGINT)", part.name()),
                false,
            ));
        }
        (Transform::ToLower, Shape::Each(parts)) => {
            let fold = |part: Shape| match part {
                Shape::Text(text) => Ok(Shape::Text(Text {
                    fold: Fold::Lower,
                    ..text
                })),
                _ => beyond(&what, "SQL does not change the elements of a list"),
            };
            return parts.into_iter().map(fold).collect::<Result<_, _>>().map(Shape::Each);
        }
        (_, Shape::Text(text)) => text,
        _ => return beyond(&what, "SQL does not change the elements of a list"),
    };
    let sql = text.sql;
    Ok(match transform {
        Transform::ToLower => Shape::Text(Text { sql, fold: Fold::Lower }),
        Transform::ToUpper => Shape::Text(Text { sql, fold: Fold::Upper }),
        Transform::Basename => Shape::Text(Text {
            sql: format!("regexp_replace({sql}, '(?s)^.*/', '')"),
            fold: text.fold,
        }),
        Transform::Trim => Shape::Text(Text {
            sql: format!("rtrim({sql}, ' \t\n\u{c}\r')"),
            fold: text.fold,
        }),
        Transform::Len => Shape::Number(format!("octet_length({sql})"), false),
        Transform::B64 => return beyond(&what, "SQL fails where a text is no base64"),
        Transform::Part(_) => return beyond(&what, "a text has no part of a time"),
    })
}
