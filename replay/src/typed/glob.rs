//! Shell patterns as `fnmatch(3)` without flags matches them: `*` and `?` match `/` too.

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Glob {
    /// As it was written.
    pattern: Box<[u8]>,
    tokens: Box<[Token]>,
    fold: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Token {
    Byte(u8),
    One,
    Many,
    Set(Box<[bool; 256]>),
}

impl Glob {
    /// Compiles a pattern; nothing when it ends in a lone backslash, which matches nothing.
    pub(crate) fn new(pattern: &[u8], fold: bool) -> Option<Glob> {
        let mut tokens = Vec::new();
        let mut at = 0;
        while let Some(&b) = pattern.get(at) {
            at += 1;
            match b {
                b'*' => {
                    if !matches!(tokens.last(), Some(Token::Many)) {
                        tokens.push(Token::Many);
                    }
                }
                b'?' => tokens.push(Token::One),
                b'\\' => {
                    tokens.push(Token::Byte(lower(*pattern.get(at)?, fold)));
                    at += 1;
                }
                b'[' => match bracket(pattern, at, fold) {
                    Some((set, end)) => {
                        tokens.push(Token::Set(set));
                        at = end;
                    }
                    None => tokens.push(Token::Byte(b)),
                },
                _ => tokens.push(Token::Byte(lower(b, fold))),
            }
        }
        Some(Glob {
            pattern: pattern.into(),
            tokens: tokens.into(),
            fold,
        })
    }

    /// Its parts.
    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Whether the case of letters does not matter; letters of its parts are small then.
    pub(crate) fn folds(&self) -> bool {
        self.fold
    }

    /// The pattern as it was written.
    pub(crate) fn pattern(&self) -> &[u8] {
        &self.pattern
    }

    /// The bytes that every match begins with.
    pub(crate) fn literal_start(&self) -> Vec<u8> {
        let bytes = self.tokens.iter().map_while(Token::byte);
        bytes.take_while(|_| !self.fold).collect()
    }

    /// The longest run of bytes that every match holds.
    pub(crate) fn literal_part(&self) -> Vec<u8> {
        let runs = self.tokens.split(|token| token.byte().is_none());
        let longest = runs.filter(|_| !self.fold).max_by_key(|run| run.len());
        longest.unwrap_or_default().iter().filter_map(Token::byte).collect()
    }

    /// Whether the pattern matches the whole text.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let (mut t, mut s) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        loop {
            match (self.tokens.get(t), text.get(s)) {
                (None, None) => return true,
                (Some(Token::Many), _) => {
                    retry = Some((t + 1, s));
                    t += 1;
                    continue;
                }
                (Some(token), Some(b)) if token.takes(lower(*b, self.fold)) => {
                    t += 1;
                    s += 1;
                    continue;
                }
                _ => {}
            }
            match retry {
                Some((after, from)) if from < text.len() => {
                    retry = Some((after, from + 1));
                    t = after;
                    s = from + 1;
                }
                _ => return false,
            }
        }
    }
}

impl Token {
    fn byte(&self) -> Option<u8> {
        match self {
            Token::Byte(b) => Some(*b),
            _ => None,
        }
    }

    pub(crate) fn takes(&self, b: u8) -> bool {
        match self {
            Token::Byte(c) => *c == b,
            Token::One => true,
            Token::Set(set) => set.get(usize::from(b)).copied().unwrap_or(false),
            Token::Many => false,
        }
    }
}

fn lower(b: u8, fold: bool) -> u8 {
    if fold { b.to_ascii_lowercase() } else { b }
}

/// The bracket expression whose content begins at `at`; nothing when it is not closed and so stands for itself.
fn bracket(pattern: &[u8], mut at: usize, fold: bool) -> Option<(Box<[bool; 256]>, usize)> {
    let mut set = Box::new([false; 256]);
    let negated = matches!(pattern.get(at), Some(b'!' | b'^'));
    at += usize::from(negated);
    let first = at;
    loop {
        let b = *pattern.get(at)?;
        if b == b']' && at > first {
            break;
        }
        if let Some((class, end)) = class_at(pattern, at) {
            (0..=255u8).filter(class).for_each(|c| add(&mut set, c, fold));
            at = end;
            continue;
        }
        let (low, after) = member(pattern, at)?;
        at = after;
        let mut high = low;
        if pattern.get(at) == Some(&b'-') && pattern.get(at + 1).is_some_and(|b| *b != b']') {
            (high, at) = member(pattern, at + 1)?;
        }
        (low..=high).for_each(|c| add(&mut set, c, fold));
    }
    if negated {
        set.iter_mut().for_each(|b| *b = !*b);
    }
    Some((set, at + 1))
}

fn member(pattern: &[u8], at: usize) -> Option<(u8, usize)> {
    match *pattern.get(at)? {
        b'\\' => Some((*pattern.get(at + 1)?, at + 2)),
        b => Some((b, at + 1)),
    }
}

fn add(set: &mut [bool; 256], c: u8, fold: bool) {
    for c in [c, lower(c, fold)] {
        if let Some(slot) = set.get_mut(usize::from(c)) {
            *slot = true;
        }
    }
}

type Class = fn(&u8) -> bool;

/// A named class (`[:alpha:]`) at `at`, and where it ends.
fn class_at(pattern: &[u8], at: usize) -> Option<(Class, usize)> {
    let rest = pattern.get(at..)?.strip_prefix(b"[:")?;
    let len = rest.windows(2).position(|w| w == b":]")?;
    let class: Class = match rest.get(..len)? {
        b"alpha" => u8::is_ascii_alphabetic,
        b"digit" => u8::is_ascii_digit,
        b"alnum" => u8::is_ascii_alphanumeric,
        b"upper" => u8::is_ascii_uppercase,
        b"lower" => u8::is_ascii_lowercase,
        b"space" => |b| matches!(b, b' ' | 9..=13),
        b"blank" => |b| matches!(b, b' ' | b'\t'),
        b"punct" => u8::is_ascii_punctuation,
        b"xdigit" => u8::is_ascii_hexdigit,
        b"cntrl" => u8::is_ascii_control,
        b"graph" => u8::is_ascii_graphic,
        b"print" => |b| matches!(b, 32..=126),
        _ => return None,
    };
    Some((class, at + 2 + len + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_fnmatch_matches() {
        let cases: [(&str, &str, bool); 19] = [
            ("/home/*/.ssh/*", "/home/a/b/.ssh/id", true),
            ("/proc/*/environ", "/proc/1/environ", true),
            ("/proc/*/environ", "/proc/1/environ2", false),
            ("*", "", true),
            ("?", "", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]x]", "]", true),
            ("[a", "[a", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[[:digit:]]*", "7a", true),
            ("*a*b*c", "xaybzc", true),
            ("*a*b*c", "xaybz", false),
            ("**", "abc", true),
            ("A", "a", false),
            ("[[:upper:]]", "A", true),
            ("", "", true),
        ];
        for (pattern, text, expected) in cases {
            let found = Glob::new(pattern.as_bytes(), false).is_some_and(|g| g.matches(text.as_bytes()));
            assert_eq!(found, expected, "{pattern} on {text}");
        }
        assert!(Glob::new(b"/ETC/[A-C]*", true).is_some_and(|g| g.matches(b"/etc/Bx")));
        assert!(Glob::new(b"a\\", false).is_none());
    }
}
