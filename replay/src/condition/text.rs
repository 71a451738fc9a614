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
        write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }
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
    use super::super::ast::Expr;
    use super::super::parse;

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
