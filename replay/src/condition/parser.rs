//! A recursive descent parser for conditions. The grammar is that of falcosecurity/libs
//! (`userspace/libsinsp/filter/parser.h`, version 0.22 and later); depth is bounded because rules can be hostile too.

use super::ast::{Call, Check, Expr, Field, Operand, Right, Value};
use super::cursor::{BadString, Cursor};
use super::operator::{self, Modifier, Operator, Takes};
use crate::diagnostics::nearest;
use crate::source::{Loc, Sources};

/// Deepest nesting of brackets, negations and transformers. Falco stops at about the same depth.
const MAX_DEPTH: u32 = 200;

/// The transformers of a left-hand side. `val` stands only on the right.
pub(crate) const TRANSFORMERS: [&str; 8] = [
    "tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt",
];

/// Where and why a text is no condition.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) loc: Loc,
    pub(crate) message: String,
    pub(crate) suggestion: Option<String>,
}

type Parsed<T> = Result<T, SyntaxError>;

/// Parses a whole condition.
pub(crate) fn parse(text: &str, text_id: u32) -> Parsed<Expr> {
    parse_naming(text, text_id, &[])
}

/// The same, where these are names of lists although they are no bare strings: Falco puts a list's items in the place
/// of its name before it reads a condition, so that any name will do.
pub(crate) fn parse_naming<'a>(text: &'a str, text_id: u32, lists: &'a [String]) -> Parsed<Expr> {
    let mut p = ConditionParser::new(text, text_id);
    p.lists = lists;
    p.cursor.blank();
    if p.cursor.is_done() {
        return Err(p.error("the condition is empty"));
    }
    let expr = p.or()?;
    if !p.cursor.is_done() {
        return Err(p.unexpected());
    }
    Ok(expr)
}

/// Parses one field or transformer at the beginning of `text`, as output formats hold them; returns its length too.
pub(crate) fn parse_field(text: &str, text_id: u32, base: usize) -> Parsed<(Operand, usize)> {
    let mut p = ConditionParser::new(text, text_id);
    p.base = base;
    match p.operand()? {
        Some(operand) => Ok((operand, p.cursor.at)),
        None => Err(p.error("expected a field")),
    }
}

/// Parses the text of a list's item: one value, or several with commas between them.
pub(crate) fn parse_values(text: &str, text_id: u32) -> Parsed<Vec<Value>> {
    let mut p = ConditionParser::new(text, text_id);
    let mut values = Vec::new();
    loop {
        values.push(p.value()?);
        p.cursor.blank();
        if !p.cursor.eat(",") {
            break;
        }
    }
    if !p.cursor.is_done() {
        return Err(p.error("expected a value; quote it when it holds brackets, quotes or '='"));
    }
    Ok(values)
}

struct ConditionParser<'a> {
    cursor: Cursor<'a>,
    text_id: u32,
    base: usize,
    depth: u32,
    /// Names of lists that are no bare strings.
    lists: &'a [String],
    /// Where the last bare name stood, to explain what follows it.
    last_name: Option<(String, usize)>,
}

impl<'a> ConditionParser<'a> {
    fn new(text: &'a str, text_id: u32) -> Self {
        ConditionParser {
            cursor: Cursor::new(text),
            text_id,
            base: 0,
            depth: 0,
            lists: &[],
            last_name: None,
        }
    }

    fn loc(&self, at: usize) -> Loc {
        Sources::loc(self.text_id, self.base + at)
    }

    fn error_at(&self, at: usize, message: impl Into<String>) -> SyntaxError {
        SyntaxError {
            loc: self.loc(at),
            message: message.into(),
            suggestion: None,
        }
    }

    fn error(&self, message: impl Into<String>) -> SyntaxError {
        self.error_at(self.cursor.place(), message)
    }

    /// The error for text that follows a complete condition.
    fn unexpected(&self) -> SyntaxError {
        let found = found(self.cursor.rest());
        if let Some((name, _)) = self
            .last_name
            .as_ref()
            .filter(|_| operator::lex(self.cursor.rest()).is_some())
        {
            return self.error(format!(
                "expected 'and' or 'or', found {found}; '{name}' before it is no field"
            ));
        }
        self.error(format!("expected 'and', 'or' or the end, found {found}"))
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("nested too deeply"));
        }
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn or(&mut self) -> Parsed<Expr> {
        let first = self.and()?;
        let mut children = vec![first];
        while self.cursor.keyword("or") {
            children.push(self.and()?);
        }
        Ok(one_or(children, Expr::Or))
    }

    fn and(&mut self) -> Parsed<Expr> {
        let first = self.not()?;
        let mut children = vec![first];
        while self.cursor.keyword("and") {
            children.push(self.not()?);
        }
        Ok(one_or(children, Expr::And))
    }

    fn not(&mut self) -> Parsed<Expr> {
        let mut negated = false;
        self.cursor.blank();
        while self.cursor.keyword("not") {
            negated = !negated;
            self.cursor.blank();
        }
        let expr = self.nested(Self::check)?;
        self.cursor.blank();
        Ok(if negated { Expr::Not(Box::new(expr)) } else { expr })
    }

    fn check(&mut self) -> Parsed<Expr> {
        let start = self.cursor.at;
        if self.cursor.eat("(") {
            let expr = self.or()?;
            if !self.cursor.eat(")") {
                let found = found(self.cursor.rest());
                return Err(self.error(format!("expected ')', 'and' or 'or', found {found}")));
            }
            return Ok(expr);
        }
        if let Some(left) = self.operand()? {
            return self.condition(left);
        }
        if let Some(name) = self.cursor.identifier() {
            self.last_name = Some((name.to_owned(), start));
            return Ok(Expr::Macro(name.to_owned(), self.loc(start)));
        }
        let found = found(self.cursor.rest());
        Err(self.error(format!("expected a field, a macro or '(', found {found}")))
    }

    /// A field or a transformer, where one begins here.
    fn operand(&mut self) -> Parsed<Option<Operand>> {
        let start = self.cursor.at;
        if let Some(name) = self.cursor.field_name() {
            let arg = self.field_arg()?;
            return Ok(Some(Operand::Field(Field {
                name: name.to_owned(),
                arg,
                loc: self.loc(start),
            })));
        }
        let Some(function) = self.transformer() else {
            return Ok(None);
        };
        let call = self.nested(|p| p.call(function, start))?;
        Ok(Some(Operand::Call(call)))
    }

    fn transformer(&mut self) -> Option<&'static str> {
        TRANSFORMERS.into_iter().find(|t| {
            let mut after = self.cursor;
            let found = after.eat(t) && after.eat("(");
            if found {
                self.cursor = after;
            }
            found
        })
    }

    fn call(&mut self, function: &str, start: usize) -> Parsed<Call> {
        let mut args = Vec::new();
        loop {
            self.cursor.blank();
            args.push(self.call_arg(true)?);
            self.cursor.blank();
            if !self.cursor.eat(",") {
                break;
            }
        }
        if !self.cursor.eat(")") {
            return Err(self.error(format!("expected ')' at the end of {function}(")));
        }
        let arg = self.field_arg()?;
        Ok(Call {
            function: function.to_owned(),
            args,
            arg,
            loc: self.loc(start),
        })
    }

    fn call_arg(&mut self, lists: bool) -> Parsed<Operand> {
        let start = self.cursor.at;
        if let Some(n) = self.cursor.number() {
            return Ok(Operand::Literal(self.constant(n.as_bytes(), false, start)));
        }
        if let Some(bytes) = self.quoted()? {
            return Ok(Operand::Literal(self.constant(&bytes, true, start)));
        }
        if lists && self.cursor.eat("(") {
            return self.nested(Self::call_list);
        }
        let found = found(self.cursor.rest());
        let error = self.error(format!(
            "expected a field, a transformer, a quoted string or a number, found {found}"
        ));
        self.operand()?.ok_or(error)
    }

    fn call_list(&mut self) -> Parsed<Operand> {
        let mut items = Vec::new();
        self.cursor.blank();
        while !self.cursor.eat(")") {
            if !items.is_empty() && !self.cursor.eat(",") {
                return Err(self.error("expected ',' or ')'"));
            }
            self.cursor.blank();
            items.push(self.call_arg(false)?);
            self.cursor.blank();
        }
        Ok(Operand::List(items))
    }

    fn field_arg(&mut self) -> Parsed<Option<String>> {
        if !self.cursor.eat("[") {
            return Ok(None);
        }
        let arg = match self.quoted()? {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => self
                .cursor
                .bare_field_arg()
                .ok_or_else(|| self.error("expected an argument after '['"))?
                .to_owned(),
        };
        if !self.cursor.eat("]") {
            return Err(self.error("expected ']'"));
        }
        Ok(Some(arg))
    }

    fn condition(&mut self, left: Operand) -> Parsed<Expr> {
        self.cursor.blank();
        let at = self.cursor.at;
        let Some((op, len)) = operator::lex(self.cursor.rest()) else {
            return Err(self.unknown_operator());
        };
        self.cursor.at += len;
        let blank = self.cursor.blank();
        let mut modifier = None;
        let right = match op.takes() {
            Takes::Nothing => Right::Nothing,
            Takes::Number => self.number_right()?,
            Takes::List => self.list_right(op)?,
            Takes::Text => {
                modifier = if blank { self.modifier() } else { None };
                if modifier.is_some() {
                    self.list_right(op)?
                } else {
                    self.text_right()?
                }
            }
        };
        Ok(Expr::Check(Box::new(Check {
            left,
            op,
            op_loc: self.loc(at),
            modifier,
            right,
        })))
    }

    fn unknown_operator(&self) -> SyntaxError {
        let rest = self.cursor.rest();
        let word = rest.get(..operator::word_len(rest)).unwrap_or("");
        if word.is_empty() || matches!(word, "and" | "or" | "not") {
            return self.error(format!("expected an operator after the field, found {}", found(rest)));
        }
        let mut error = self.error(format!("unknown operator '{word}'"));
        error.suggestion = nearest(word, operator::names());
        error
    }

    /// `oneof`, `anyof`, `allof`, when a list follows: any of these words can be a value as well.
    fn modifier(&mut self) -> Option<Modifier> {
        let mut after = self.cursor;
        let modifier = Modifier::of(after.identifier()?)?;
        let list = after.blank()
            && (after.rest().starts_with('(') || after.rest().starts_with(|c: char| c.is_ascii_alphabetic()));
        if !list || ["and", "or", "not"].into_iter().any(|w| after.keyword(w)) {
            return None;
        }
        self.cursor = after;
        Some(modifier)
    }

    fn number_right(&mut self) -> Parsed<Right> {
        if let Some(operand) = self.right_operand()? {
            return Ok(Right::Operand(operand));
        }
        let start = self.cursor.at;
        match self.cursor.number() {
            Some(n) => Ok(Right::Value(self.constant(n.as_bytes(), false, start))),
            None => Err(self.error(format!("expected a number, found {}", found(self.cursor.rest())))),
        }
    }

    fn text_right(&mut self) -> Parsed<Right> {
        match self.right_operand()? {
            Some(operand) => Ok(Right::Operand(operand)),
            None => self.value().map(Right::Value),
        }
    }

    fn list_right(&mut self, op: Operator) -> Parsed<Right> {
        let start = self.cursor.at;
        if self.cursor.eat("(") {
            return self.list().map(Right::List);
        }
        if op.takes() == Takes::List
            && let Some(operand) = self.right_operand()?
        {
            return Ok(Right::Operand(operand));
        }
        match self.cursor.identifier() {
            Some(name) => Ok(Right::List(vec![self.constant(name.as_bytes(), false, start)])),
            None => Err(self.error(format!("expected '(' and a list, found {}", found(self.cursor.rest())))),
        }
    }

    fn list(&mut self) -> Parsed<Vec<Value>> {
        let mut values = Vec::new();
        self.cursor.blank();
        if self.cursor.eat(")") {
            return Ok(values);
        }
        loop {
            values.push(self.value()?);
            self.cursor.blank();
            if self.cursor.eat(")") {
                return Ok(values);
            }
            if !self.cursor.eat(",") {
                return Err(self.error(format!("expected ',' or ')', found {}", found(self.cursor.rest()))));
            }
        }
    }

    fn right_operand(&mut self) -> Parsed<Option<Operand>> {
        let start = self.cursor.at;
        if self.cursor.eat("val(") {
            self.cursor.blank();
            let at = self.cursor.at;
            let name = self
                .cursor
                .field_name()
                .ok_or_else(|| self.error("expected a field in val("))?;
            let arg = self.field_arg()?;
            self.cursor.blank();
            if !self.cursor.eat(")") {
                return Err(self.error("expected ')' at the end of val("));
            }
            return Ok(Some(Operand::Field(Field {
                name: name.to_owned(),
                arg,
                loc: self.loc(at),
            })));
        }
        match self.transformer() {
            Some(function) => self.nested(|p| p.call(function, start)).map(|c| Some(Operand::Call(c))),
            None => Ok(None),
        }
    }

    fn value(&mut self) -> Parsed<Value> {
        self.cursor.blank();
        let start = self.cursor.at;
        if let Some(bytes) = self.quoted()? {
            return Ok(self.constant(&bytes, true, start));
        }
        if let Some(name) = self.cursor.one_of(self.lists) {
            return Ok(self.constant(name.as_bytes(), false, start));
        }
        match self.cursor.bare() {
            Some(s) => Ok(self.constant(s.as_bytes(), false, start)),
            None => Err(self.error(format!("expected a value, found {}", found(self.cursor.rest())))),
        }
    }

    fn quoted(&mut self) -> Parsed<Option<Vec<u8>>> {
        self.cursor
            .quoted()
            .map_err(|BadString { at, message }| self.error_at(at, message))
    }

    fn constant(&self, bytes: &[u8], quoted: bool, start: usize) -> Value {
        Value {
            bytes: bytes.to_vec(),
            quoted,
            loc: self.loc(start),
        }
    }
}

fn one_or(mut children: Vec<Expr>, make: fn(Vec<Expr>) -> Expr) -> Expr {
    match (children.len(), children.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            children.extend(last);
            make(children)
        }
    }
}

/// What stands at the beginning of `rest`, for messages.
fn found(rest: &str) -> String {
    match rest.split_whitespace().next() {
        None => "the end".to_owned(),
        Some(word) => format!("'{}'", word.chars().take(40).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(text: &str) -> bool {
        parse(text, 0).is_ok()
    }

    #[test]
    fn what_the_grammar_takes() {
        for text in [
            "proc.name=cat",
            "proc.name = \"a b\" and not fd.name startswith /etc",
            "not(proc.name=x)or(evt.type in(open,openat))",
            "proc.aname[2] in (a, \"b c\", d.e-f)",
            "fd.sport=http and fd.num >= -1 and evt.rawres < 0x10",
            "container.mount.dest[/x] exists",
            "tolower(proc.name) = val(proc.pname)",
            "concat(proc.name, \"-\", proc.pname) contains x",
            "proc.name startswith oneof (a, b) and my_macro",
            "proc.name = oneof",
            "proc.name in my_list",
            "evt.arg[0]=*",
            "fd.name glob '/home/*/.ssh/*'",
            "proc.cmdline = \"a \\\"q\\\" \\x41\"",
            "proc.cmdline = \"a\\\\\" b\"",
        ] {
            assert!(ok(text), "{text}: {:?}", parse(text, 0).err());
        }
    }

    #[test]
    fn what_the_grammar_refuses() {
        for text in [
            "",
            "  ",
            "proc.name",
            "proc.name like x",
            "(proc.name=a",
            "proc.name=a b",
            "fd.num > x",
            "proc.name in (a b)",
            "proc.name = \"a",
            "proc.name='a\\q'",
            "proc.name='a\\\\'",
            "proc.name='\\x+1'",
            "proc.name=a or",
            "proc.aname[=a",
        ] {
            assert!(!ok(text), "{text}");
        }
    }

    #[test]
    fn a_quote_behind_a_backslash_closes_nothing() {
        let value = |text: &str| match parse(text, 0) {
            Ok(Expr::Check(check)) => match check.right {
                Right::Value(value) => value.bytes,
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        // By Falco's reader.
        assert_eq!(value(r#"proc.name = "a\\" and x""#), br#"a\" and x"#);
        assert_eq!(value(r#"proc.name = "a\" x""#), br#"a" x"#);
        assert_eq!(value(r#"proc.name = "a\x5c""#), br"a\");
        assert_eq!(value(r#"proc.name = """#), b"");
    }

    #[test]
    fn lists_may_have_any_name() {
        let names = ["two words".to_owned(), "two words more".to_owned()];
        let ok = |text: &str| parse_naming(text, 0, &names).is_ok();
        assert!(ok("proc.name in (a, two words, b)"));
        assert!(ok("proc.name in (two words more)"));
        assert!(!ok("proc.name in (two wordsx)"));
        assert!(!ok("proc.name in (three words)"));
    }

    #[test]
    fn an_unknown_operator_is_named() {
        let error = parse("proc.name contians x", 0).err();
        assert_eq!(error.and_then(|e| e.suggestion), Some("contains".to_owned()));
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}proc.name=a{}", "(".repeat(100_000), ")".repeat(100_000));
        assert!(!ok(&deep));
    }
}
