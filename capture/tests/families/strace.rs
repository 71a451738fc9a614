//! What `strace -f -y -yy -X verbose -Y` prints: lines, arguments, structures.

use std::collections::BTreeMap;

/// One line of a log.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    Call(Call),
    /// A thread ended: `Ok` of an exit code or `Err` of a signal's name.
    Exit {
        tid: u32,
        how: Result<i64, String>,
    },
}

/// A call that returned, or one that never does.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) tid: u32,
    /// Falco's name of it.
    pub(crate) name: String,
    pub(crate) args: Vec<String>,
    pub(crate) ret: Ret,
    /// What follows the result: an annotation, or what an error means.
    pub(crate) ret_note: String,
    pub(crate) text: String,
}

/// A result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ret {
    Value(i64),
    /// `-1` with an error's name.
    Error(String),
    /// `?`: the call did not return.
    Unknown,
}

impl Call {
    pub(crate) fn succeeded(&self) -> bool {
        matches!(self.ret, Ret::Value(_))
    }

    /// The annotation of a result that is a descriptor.
    pub(crate) fn ret_annotation(&self) -> Option<String> {
        annotation(&format!("0{}", self.ret_note)).filter(|_| self.ret_note.starts_with('<'))
    }

    pub(crate) fn arg(&self, at: usize) -> Option<&str> {
        self.args.get(at).map(String::as_str)
    }
}

/// The finished calls and ends of threads, in the order of their end.
pub(crate) fn parse(log: &str) -> Vec<Line> {
    let mut unfinished: BTreeMap<u32, String> = BTreeMap::new();
    let mut out = Vec::new();
    for line in log.lines() {
        let (tid, rest) = prefix(line).unwrap_or_else(|| panic!("no thread: {line}"));
        if rest.starts_with("---") {
            continue;
        }
        if let Some(end) = rest.strip_prefix("+++ ") {
            out.extend(exit(tid, end));
        } else if let Some(begin) = rest.strip_suffix("<unfinished ...>") {
            unfinished.insert(tid, begin.trim_end().to_owned());
        } else {
            let whole = match rest.strip_prefix("<... ") {
                Some(resumed) => {
                    let (_, end) = resumed.split_once(" resumed>").expect(line);
                    let begin = unfinished.remove(&tid).expect(line);
                    let gap = if begin.ends_with(',') { " " } else { "" };
                    format!("{begin}{gap}{}", end.trim_start_matches(' '))
                }
                None => rest.to_owned(),
            };
            out.push(Line::Call(call(tid, &whole).unwrap_or_else(|| panic!("{whole}"))));
        }
    }
    // What was under way when its process was killed.
    for (tid, begin) in unfinished {
        if let Some(call) = call(tid, &format!("{begin}) = ?")) {
            out.push(Line::Call(call));
        }
    }
    out
}

/// `1234<comm> rest`.
fn prefix(line: &str) -> Option<(u32, &str)> {
    let (tid, rest) = line.split_once('<')?;
    let (_, rest) = rest.split_once("> ")?;
    Some((tid.parse().ok()?, rest.trim_start()))
}

fn exit(tid: u32, text: &str) -> Option<Line> {
    let how = if let Some(code) = text.strip_prefix("exited with ") {
        Ok(code.split(' ').next()?.parse().ok()?)
    } else {
        let signal = text.strip_prefix("killed by ")?;
        Err(signal.split(' ').next()?.to_owned())
    };
    Some(Line::Exit { tid, how })
}

fn call(tid: u32, text: &str) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let end = closing(rest)?;
    let args = split(rest.get(..end)?, ", ");
    let result = rest.get(end + 1..)?.trim_start().strip_prefix("= ")?;
    let word = result.split([' ', '<']).next()?;
    let note = result.get(word.len()..)?.trim_start();
    let ret = match word {
        "?" if note.starts_with('E') => Ret::Error(note.split(' ').next()?.to_owned()),
        "?" => Ret::Unknown,
        "-1" if note.starts_with('E') => Ret::Error(note.split(' ').next()?.to_owned()),
        word => Ret::Value(number(word)?),
    };
    Some(Call {
        tid,
        name: falco_name(name),
        args,
        ret,
        ret_note: note.to_owned(),
        text: text.to_owned(),
    })
}

fn falco_name(name: &str) -> String {
    match name {
        "pread64" => "pread",
        "pwrite64" => "pwrite",
        "prlimit64" => "prlimit",
        _ if name.starts_with("syscall_0x") => "unknown",
        other => other,
    }
    .to_owned()
}

/// Where the bracket closes that is open at the start of `text`.
fn closing(text: &str) -> Option<usize> {
    scan(text, |depth, at| depth == 0 && text[at..].starts_with(')'))
}

/// Splits at a separator that stands in no bracket, quotation, comment or annotation.
pub(crate) fn split(text: &str, separator: &str) -> Vec<String> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some(at) = scan(rest, |depth, at| depth == 0 && rest[at..].starts_with(separator)) {
        out.push(rest[..at].to_owned());
        rest = &rest[at + separator.len()..];
    }
    if !rest.is_empty() {
        out.push(rest.to_owned());
    }
    out
}

/// The first position outside quotations and comments at which `found(depth, position)` holds.
fn scan(text: &str, found: impl Fn(i32, usize) -> bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0);
    while at < bytes.len() {
        if found(depth, at) {
            return Some(at);
        }
        match bytes[at] {
            b'"' => at = skip_quoted(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => at += comment_len(&text[at..])? - 1,
            b'(' | b'[' | b'{' | b'<' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            // `->` joins the ends of a socket, `=>` what went in and what came out.
            b'>' if at > 0 && !matches!(bytes[at - 1], b'-' | b'=') => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// The length of the comment that begins here. There may be others in it.
fn comment_len(text: &str) -> Option<usize> {
    let (mut at, mut depth) = (2, 1);
    while depth > 0 {
        at += text.get(at..)?.find(['/', '*'])?;
        let (step, change) = match text.get(at..at + 2)? {
            "/*" => (2, 1),
            "*/" => (2, -1),
            _ => (1, 0),
        };
        at += step;
        depth += change;
    }
    Some(at)
}

/// The position of the closing quotation mark.
fn skip_quoted(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at
}

/// The bytes between quotation marks; `None` for anything else (`NULL`, a bad pointer). strace cuts nothing here.
pub(crate) fn string(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let open = bytes.iter().position(|b| *b == b'"').filter(|at| *at == 0)?;
    let close = skip_quoted(bytes, open);
    Some(unescape(&bytes[open + 1..close]))
}

fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let escape = bytes[at];
        at += 1;
        match escape {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'v' => out.push(11),
            b'f' => out.push(12),
            b'x' => {
                out.push(u8::from_str_radix(std::str::from_utf8(&bytes[at..at + 2]).unwrap(), 16).unwrap());
                at += 2;
            }
            b'0'..=b'7' => {
                let digits = bytes[at - 1..]
                    .iter()
                    .take(3)
                    .take_while(|b| matches!(b, b'0'..=b'7'))
                    .count();
                let text = std::str::from_utf8(&bytes[at - 1..at - 1 + digits]).unwrap();
                out.push(u8::from_str_radix(text, 8).unwrap());
                at += digits - 1;
            }
            other => out.push(other),
        }
    }
    out
}

/// The text without `/* comments */`, and the comments.
fn comments(text: &str) -> (String, Vec<&str>) {
    let (mut plain, mut found, mut rest) = (String::new(), Vec::new(), text);
    while let Some(open) = rest.find("/*") {
        let (before, comment) = rest.split_at(open);
        let (comment, after) = comment.split_at(comment_len(comment).unwrap_or(comment.len()));
        plain.push_str(before.trim_end());
        found.push(comment.trim_start_matches("/*").trim_end_matches("*/").trim());
        rest = after;
    }
    plain.push_str(rest);
    (plain, found)
}

/// A number with its annotation and comment: `3</tmp/x>`, `0x42 /* O_RDWR|O_CREAT */`, `0x1 /* A */|17 /* B */`, `NULL`.
pub(crate) fn number(text: &str) -> Option<i64> {
    let (plain, _) = comments(text);
    let plain = plain.split_once('<').map_or(&plain[..], |(number, _)| number);
    plain.split('|').try_fold(0, |sum, part| Some(sum | simple(part)?))
}

fn simple(text: &str) -> Option<i64> {
    let text = text.trim();
    let (minus, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let value = match digits {
        "NULL" => 0,
        _ if digits.starts_with("0x") => u64::from_str_radix(&digits[2..], 16).ok()?,
        _ if digits.len() > 1 && digits.starts_with('0') => u64::from_str_radix(&digits[1..], 8).ok()?,
        _ => digits.parse().ok()?,
    };
    Some(if minus { value.wrapping_neg() } else { value }.cast_signed())
}

/// The names in the comments of a number.
pub(crate) fn names(text: &str) -> Vec<String> {
    let (_, found) = comments(text);
    let parts = found.iter().flat_map(|c| c.split('|'));
    parts.map(|n| n.trim().to_owned()).collect()
}

/// What a descriptor refers to: the text between its angle brackets.
pub(crate) fn annotation(text: &str) -> Option<String> {
    let (plain, _) = comments(text);
    let open = plain.find('<')?;
    let inner = plain.get(open + 1..)?;
    let bytes = inner.as_bytes();
    let mut depth = 0;
    for at in 0..bytes.len() {
        match bytes[at] {
            b'<' => depth += 1,
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' if depth == 0 => return Some(inner[..at].to_owned()),
            b'>' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// A path as strace annotates it, without the escapes and without the device of a device file.
pub(crate) fn annotated_path(annotation: &str) -> Vec<u8> {
    let plain = annotation.split_once('<').map_or(annotation, |(path, _)| path);
    unescape(plain.as_bytes())
}

/// The value of a field of `{a=1, b={…}}`.
pub(crate) fn field(text: &str, name: &str) -> Option<String> {
    let body = text.trim().strip_prefix('{')?;
    let end = scan(body, |depth, at| depth == 0 && body[at..].starts_with('}'))?;
    let fields = split(&body[..end], ", ");
    fields
        .iter()
        .find_map(|f| Some(f.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

/// The entries of `[a, b]`.
pub(crate) fn list(text: &str) -> Option<Vec<String>> {
    let body = text.strip_prefix('[')?;
    let end = scan(body, |depth, at| depth == 0 && body[at..].starts_with(']'))?;
    Some(split(&body[..end], ", "))
}

#[test]
fn lines_are_taken_apart() {
    let log = r#"7<a b> open("a\"b, \n\1012", 0x42 /* O_RDWR|O_CREAT */, 0644) = 3</tmp/x\74>
7<x> clone(child_stack=NULL, flags=0x1200000 /* A|B */|17 /* SIGCHLD */ <unfinished ...>
8<x> getpid()                   = 8<x>
7<x> <... clone resumed>, child_tidptr=0x7f) = 8<x>
7<x> connect(5<TCP:[1.2.3.4:1->1.2.3.4:2]>, {sa_family=0x2 /* AF_INET */, sun_path="}"}, [110 => 16]) = -1 ENOENT (No)
8<x> exit_group(3)              = ?
8<x> +++ exited with 3 +++
7<x> pause( <unfinished ...>
7<x> +++ killed by SIGKILL +++"#;
    let lines = parse(log);
    let calls: Vec<&Call> = lines
        .iter()
        .filter_map(|l| match l {
            Line::Call(c) => Some(c),
            Line::Exit { .. } => None,
        })
        .collect();
    assert_eq!(lines.len() - calls.len(), 2);
    assert_eq!(string(&calls[0].args[0]).unwrap(), b"a\"b, \nA2");
    assert_eq!(
        (number(&calls[0].args[1]), number(&calls[0].args[2])),
        (Some(0x42), Some(0o644))
    );
    assert_eq!(names(&calls[0].args[1]), ["O_RDWR", "O_CREAT"]);
    assert_eq!(calls[0].ret, Ret::Value(3));
    assert_eq!(annotated_path(&calls[0].ret_annotation().unwrap()), b"/tmp/x<");
    assert_eq!(
        number(calls[2].args[1].strip_prefix("flags=").unwrap()),
        Some(0x120_0011)
    );
    assert_eq!(calls[2].ret, Ret::Value(8));
    assert_eq!(annotation(&calls[3].args[0]).unwrap(), "TCP:[1.2.3.4:1->1.2.3.4:2]");
    assert_eq!(field(&calls[3].args[1], "sun_path").unwrap(), "\"}\"");
    assert_eq!(calls[3].ret, Ret::Error("ENOENT".to_owned()));
    let nested = "16388 /* VALUE(0x2 /* CLASS */, 4) */, 0";
    let [value, _] = &split(nested, ", ")[..] else {
        panic!("{nested}")
    };
    assert_eq!(
        (number(value), &names(value)[..]),
        (Some(16388), &["VALUE(0x2 /* CLASS */, 4)".to_owned()][..])
    );
    assert_eq!((&calls[5].name[..], &calls[5].ret), ("pause", &Ret::Unknown));
}
