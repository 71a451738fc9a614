//! Conditions as text again, as their author wrote them: names of lists stay names.

use std::fmt::{self, Display, Formatter, Write};

use super::ast::{Check, Field, Operand, Right, Value};
use super::operator::Modifier;

impl Display for Check {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.left, self.op.name())?;
        match self.modifier {
            Some(Modifier::One) => f.write_str(" oneof")?,
            Some(Modifier::Any) => f.write_str(" anyof")?,
            Some(Modifier::All) => f.write_str(" allof")?,
            None => {}
        }
        match &self.right {
            Right::Nothing => Ok(()),
            Right::Value(value) => write!(f, " {value}"),
            Right::List(values) => {
                f.write_str(" (")?;
                listed(f, values)?;
                f.write_char(')')
            }
            Right::Operand(operand @ Operand::Field(_)) => write!(f, " val({operand})"),
            Right::Operand(operand) => write!(f, " {operand}"),
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Field(field) => field.fmt(f),
            Operand::Literal(value) => value.fmt(f),
            Operand::List(items) => {
                f.write_char('(')?;
                listed(f, items)?;
                f.write_char(')')
            }
            Operand::Call(call) => {
                write!(f, "{}(", call.function)?;
                listed(f, &call.args)?;
                f.write_char(')')?;
                call.arg.as_ref().map_or(Ok(()), |arg| write!(f, "[{arg}]"))
            }
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.arg.as_ref().map_or(Ok(()), |arg| write!(f, "[{arg}]"))
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = self.text();
        // Unquoted text that needs quotes comes from a list's item.
        let plain = |c: char| !c.is_whitespace() && !matches!(c, '(' | ')' | ',' | '"' | '\'' | '=');
        if !self.quoted && !text.is_empty() && text.chars().all(plain) {
            return f.write_str(&text);
        }
        f.write_str(&quoted(&text))
    }
}

/// A text as a quoted string of the condition language. A quote behind a backslash would not close it, so that a
/// backslash there is written by its number.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if matches!(chars.peek(), None | Some('"')) => out.push_str("\\x5c"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn listed<T: Display>(f: &mut Formatter<'_>, items: &[T]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        f.write_str(if i == 0 { "" } else { ", " })?;
        item.fmt(f)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::ast::{Expr, Right};
    use super::super::parse;

    #[test]
    fn quoted_texts_are_read_back() {
        for text in [
            "",
            "a b",
            "\\",
            "a\\",
            "a\\\\",
            "\"",
            "\\\"",
            "a\\\\\" or evt.num >= 0",
            "C:\\dir",
            "'",
        ] {
            let condition = format!("proc.name = {}", super::quoted(text));
            match parse(&condition, 0) {
                Ok(Expr::Check(check)) => match check.right {
                    Right::Value(value) => assert_eq!(value.bytes, text.as_bytes(), "{condition}"),
                    other => panic!("{condition}: {other:?}"),
                },
                other => panic!("{condition}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_check_is_shown_as_it_was_written() {
        for text in [
            "proc.name = cat",
            "proc.name in (shell_binaries, \"a b\")",
            "proc.aname[2] exists",
            "fd.name startswith anyof (/etc, /root)",
            "tolower(proc.name) = val(proc.pname)",
            "proc.cmdline contains \"a\\\"b\"",
        ] {
            match parse(text, 0) {
                Ok(Expr::Check(check)) => assert_eq!(check.to_string(), text),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
