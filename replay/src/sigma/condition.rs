//! Conditions of Sigma rules: search identifiers joined by `and`, `or`, `not`, `1 of` and `all of`.

use crate::typed::glob::Glob;

/// Deepest nesting of brackets and negations.
const MAX_DEPTH: usize = 100;

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    /// A search identifier.
    Search(String),
}

/// Parses a condition, given the names of the search identifiers that there are. Errors come with the byte where they
/// stand.
pub(super) fn parse(text: &str, names: &[&str]) -> Result<Condition, (usize, String)> {
    let mut parser = Parser {
        words: words(text),
        at: 0,
        end: text.trim_end().len(),
        names,
    };
    if let Some((at, _)) = parser.words.iter().find(|w| w.1 == "|") {
        return Err((
            *at,
            "aggregations after '|' are Sigma 1: write a correlation rule".to_owned(),
        ));
    }
    let condition = parser.or(0)?;
    match parser.peek() {
        None => Ok(condition),
        Some((at, word)) => Err((at, format!("expected 'and', 'or' or the end, found '{word}'"))),
    }
}

/// Words and brackets with the byte where each begins.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut out = Vec::new();
    let mut start = None;
    for (i, c) in text.char_indices() {
        let single = matches!(c, '(' | ')' | '|');
        if single || c.is_whitespace() {
            if let Some(word) = start.take() {
                out.push((word, text.get(word..i).unwrap_or("")));
            }
            if single {
                out.push((i, text.get(i..i + 1).unwrap_or("")));
            }
        } else if start.is_none() {
            start = Some(i);
        }
    }
    out.extend(start.map(|word| (word, text.get(word..).unwrap_or(""))));
    out
}

struct Parser<'a> {
    words: Vec<(usize, &'a str)>,
    at: usize,
    end: usize,
    names: &'a [&'a str],
}

type Parsed = Result<Condition, (usize, String)>;

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<(usize, &'a str)> {
        self.words.get(self.at).copied()
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|w| w.1.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn or(&mut self, depth: usize) -> Parsed {
        let mut parts = vec![self.and(depth)?];
        while self.keyword("or") {
            parts.push(self.and(depth)?);
        }
        Ok(one_or(parts, Condition::Or))
    }

    fn and(&mut self, depth: usize) -> Parsed {
        let mut parts = vec![self.not(depth)?];
        while self.keyword("and") {
            parts.push(self.not(depth)?);
        }
        Ok(one_or(parts, Condition::And))
    }

    fn not(&mut self, depth: usize) -> Parsed {
        let here = self.peek().map_or(self.end, |w| w.0);
        if depth > MAX_DEPTH {
            return Err((here, "nested too deeply".to_owned()));
        }
        if self.keyword("not") {
            return Ok(Condition::Not(Box::new(self.not(depth + 1)?)));
        }
        if self.keyword("(") {
            let inner = self.or(depth + 1)?;
            let at = self.peek().map_or(self.end, |w| w.0);
            return if self.keyword(")") {
                Ok(inner)
            } else {
                Err((at, "expected ')'".to_owned()))
            };
        }
        let Some((at, word)) = self.peek() else {
            return Err((here, "expected a search identifier, found the end".to_owned()));
        };
        self.at += 1;
        let of = self.peek().is_some_and(|w| w.1.eq_ignore_ascii_case("of"));
        if of {
            self.at += 1;
            return self.quantified(at, word);
        }
        if self.names.contains(&word) {
            return Ok(Condition::Search(word.to_owned()));
        }
        let hint = crate::diagnostics::nearest(word, self.names.iter().copied());
        let hint = hint.map(|n| format!("; did you mean '{n}'?")).unwrap_or_default();
        Err((at, format!("there is no search identifier '{word}'{hint}")))
    }

    /// What follows `1 of` or `all of`.
    fn quantified(&mut self, at: usize, quantity: &str) -> Parsed {
        let Some((place, pattern)) = self.peek() else {
            return Err((self.end, "expected 'them' or a search identifier after 'of'".to_owned()));
        };
        self.at += 1;
        let them = pattern.eq_ignore_ascii_case("them");
        let wildcards = Glob::new(pattern.replace(['?', '[', '\\'], "").as_bytes(), false);
        let matches = |name: &&&str| match &wildcards {
            _ if them => !name.starts_with('_'),
            Some(glob) => glob.matches(name.as_bytes()),
            None => false,
        };
        let found = self
            .names
            .iter()
            .filter(matches)
            .map(|n| Condition::Search((*n).to_owned()));
        let found: Vec<Condition> = found.collect();
        if found.is_empty() {
            return Err((place, format!("'{pattern}' stands for no search identifier")));
        }
        match quantity.to_ascii_lowercase().as_str() {
            "1" | "any" => Ok(one_or(found, Condition::Or)),
            "all" => Ok(one_or(found, Condition::And)),
            _ => Err((at, format!("expected '1 of' or 'all of', found '{quantity} of'"))),
        }
    }
}

fn one_or(mut parts: Vec<Condition>, make: fn(Vec<Condition>) -> Condition) -> Condition {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            make(parts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["selection_a", "selection_b", "filter", "keywords", "_hidden"];

    fn shown(text: &str) -> String {
        fn show(c: &Condition) -> String {
            let list = |l: &[Condition], word: &str| format!("({})", l.iter().map(show).collect::<Vec<_>>().join(word));
            match c {
                Condition::And(l) => list(l, " & "),
                Condition::Or(l) => list(l, " | "),
                Condition::Not(inner) => format!("!{}", show(inner)),
                Condition::Search(name) => name.clone(),
            }
        }
        match parse(text, &NAMES) {
            Ok(c) => show(&c),
            Err((at, message)) => format!("{at}: {message}"),
        }
    }

    #[test]
    fn precedence_and_quantities() {
        for (text, expected) in [
            ("keywords", "keywords"),
            (
                "keywords or filter and not selection_a",
                "(keywords | (filter & !selection_a))",
            ),
            ("not (keywords OR filter)", "!(keywords | filter)"),
            ("1 of selection_*", "(selection_a | selection_b)"),
            (
                "all of selection* and not 1 of filter*",
                "((selection_a & selection_b) & !filter)",
            ),
            ("1 of *_b", "selection_b"),
            ("any of selection_*", "(selection_a | selection_b)"),
            ("all of them", "(selection_a & selection_b & filter & keywords)"),
            ("1 of _*", "_hidden"),
            ("", "0: expected a search identifier, found the end"),
            ("keywords and", "12: expected a search identifier, found the end"),
            ("(keywords", "9: expected ')'"),
            (
                "keywrds",
                "0: there is no search identifier 'keywrds'; did you mean 'keywords'?",
            ),
            ("2 of selection_*", "0: expected '1 of' or 'all of', found '2 of'"),
            ("1 of other*", "5: 'other*' stands for no search identifier"),
            ("keywords filter", "9: expected 'and', 'or' or the end, found 'filter'"),
            (
                "keywords | count() > 5",
                "9: aggregations after '|' are Sigma 1: write a correlation rule",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert!(shown(&"not ".repeat(10_000)).ends_with("nested too deeply"));
    }
}
