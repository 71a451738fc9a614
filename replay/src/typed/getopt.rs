//! The transformer `getopt`: short options among arguments, as getopt(3) finds them.

/// What an option string says: letters, each with whether it takes a value.
struct Options<'a> {
    letters: &'a [u8],
}

impl<'a> Options<'a> {
    /// A leading colon says how errors are told, which makes no difference here.
    fn new(text: &'a [u8]) -> Options<'a> {
        Options {
            letters: text.strip_prefix(b":").unwrap_or(text),
        }
    }

    /// Whether a letter takes a value; nothing for one that is no option.
    fn takes_value(&self, letter: u8) -> Option<bool> {
        let at = self.letters.iter().rposition(|l| *l == letter && *l != b':')?;
        let valued = |at: usize| self.letters.get(at + 1) == Some(&b':');
        let any = (0..=at).any(|i| self.letters.get(i) == Some(&letter) && valued(i));
        Some(any)
    }
}

/// One option that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A letter that takes no value.
    Flag(u8),
    /// A letter and its value.
    Valued(u8, &'a [u8]),
    /// A letter whose value is missing.
    Missing(u8),
    /// A letter that is no option.
    Unknown,
}

/// The options at the beginning of `args`: everything ends at `--` and at the first argument that is none. Long options
/// are passed over.
pub(crate) fn options<'a>(args: &[&'a [u8]], option_string: &[u8]) -> Vec<Found<'a>> {
    let known = Options::new(option_string);
    let mut out = Vec::new();
    let mut rest = args.iter().copied();
    while let Some(arg) = rest.next() {
        match arg {
            b"--" => break,
            [b'-', b'-', ..] => {}
            [b'-', letters @ ..] if !letters.is_empty() => cluster(letters, &known, &mut rest, &mut out),
            _ => break,
        }
    }
    out
}

/// The letters of one argument; the value of the last may be the next argument.
fn cluster<'a>(
    letters: &'a [u8],
    known: &Options<'_>,
    rest: &mut impl Iterator<Item = &'a [u8]>,
    out: &mut Vec<Found<'a>>,
) {
    for (i, letter) in letters.iter().enumerate() {
        match known.takes_value(*letter) {
            None => out.push(Found::Unknown),
            Some(false) => out.push(Found::Flag(*letter)),
            Some(true) => {
                let attached = letters.get(i + 1..).filter(|value| !value.is_empty());
                out.push(match attached.or_else(|| rest.next()) {
                    Some(value) => Found::Valued(*letter, value),
                    None => Found::Missing(*letter),
                });
                return;
            }
        }
    }
}

/// What `getopt(…)` yields: letters, each followed by its value where it has one; `?` for a letter that is no option, an
/// empty text where a value is missing.
pub(crate) fn listed(args: &[&[u8]], option_string: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for found in options(args, option_string) {
        match found {
            Found::Flag(letter) => out.push(vec![letter]),
            Found::Valued(letter, value) => out.extend([vec![letter], value.to_vec()]),
            Found::Missing(_) => out.push(Vec::new()),
            Found::Unknown => out.push(b"?".to_vec()),
        }
    }
    out
}

/// What `getopt(…)[x]` yields: the value of the option, or its letter where it takes none. The last one counts.
pub(crate) fn selected(args: &[&[u8]], option_string: &[u8], wanted: u8) -> Option<Vec<u8>> {
    let value = |found: Found<'_>| match found {
        Found::Flag(letter) if letter == wanted => Some(vec![letter]),
        Found::Valued(letter, value) if letter == wanted => Some(value.to_vec()),
        Found::Missing(letter) if letter == wanted => Some(Vec::new()),
        _ => None,
    };
    options(args, option_string).into_iter().rev().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(args: &[&str], options: &str) -> String {
        let args: Vec<&[u8]> = args.iter().map(|a| a.as_bytes()).collect();
        let found = listed(&args, options.as_bytes());
        let texts: Vec<_> = found.iter().map(|f| String::from_utf8_lossy(f).into_owned()).collect();
        texts.join(",")
    }

    #[test]
    fn letters_and_values() {
        for (args, options, wanted) in [
            (&["-n", "-t", "x"][..], "nt:", "n,t,x"),
            (&["-nt", "x"], "nt:", "n,t,x"),
            (&["-tx"], "t:", "t,x"),
            (&["-lpe", "/bin/sh"], "lp:e:", "l,p,e"),
            (&["-z", "-n"], "n", "?,n"),
            (&["-n", "--", "-t"], "nt", "n"),
            (&["file", "-n"], "n", ""),
            (&["-", "-n"], "n", ""),
            (&["--exec", "-n"], "n", "n"),
            (&["-t", "-1"], "t:", "t,-1"),
            (&["-t"], ":t:", ""),
        ] {
            assert_eq!(of(args, options), wanted, "{args:?} {options}");
        }
    }

    #[test]
    fn the_last_of_an_option_counts() {
        let args: [&[u8]; 5] = [b"-t", b"a", b"-n", b"-t", b"b"];
        assert_eq!(selected(&args, b"nt:", b't'), Some(b"b".to_vec()));
        assert_eq!(selected(&args, b"nt:", b'n'), Some(b"n".to_vec()));
        assert_eq!(selected(&args, b"nt:x", b'x'), None);
        assert_eq!(selected(&[b"-t"], b"t:", b't'), Some(Vec::new()));
    }
}
