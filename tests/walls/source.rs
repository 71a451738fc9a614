//! What the sources of the pure crates must not contain: clocks, files, environment, hash order.
//!
//! Clippy bans the same by type where it can (`clippy.toml` of each crate). It cannot see a `for` loop over a hash
//! map, and an `allow` switches it off; this scan has no such switch. It works on tokens, so comments and strings do
//! not matter, and leaves out test code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What a crate must not mention.
struct Wall {
    /// The crate's folder.
    folder: &'static str,
    /// Items and modules by full path; importing a parent module of one counts too.
    paths: &'static [&'static [&'static str]],
}

/// Clocks, environment and hash order make results depend on more than the recorded data.
const IMPURE: &[&str] = &[
    "std::time::SystemTime",
    "std::time::Instant",
    "std::env",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::process",
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::collections::hash_map",
    "std::collections::hash_set",
    "std::hash::RandomState",
    "std::hash::DefaultHasher",
];

/// What must not be reached either where a crate does no input and output at all.
const INPUT_OUTPUT: &[&str] = &["std::fs", "std::os"];

const WALLS: [Wall; 2] = [
    Wall {
        folder: "replay",
        paths: &[IMPURE, INPUT_OUTPUT],
    },
    Wall {
        folder: "trace",
        paths: &[IMPURE],
    },
];

/// Calls that are named by their last two segments, since their modules have harmless uses too.
const CALLS: [[&str; 2]; 8] = [
    ["io", "stdin"],
    ["io", "stdout"],
    ["io", "stderr"],
    ["thread", "current"],
    ["thread", "available_parallelism"],
    ["thread", "sleep"],
    ["Utc", "now"],
    ["Local", "now"],
];

/// Macros that write to the terminal.
const MACROS: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

/// Methods that hand out a hash map's entries in its own order.
const UNORDERED: [&str; 10] = [
    "iter",
    "iter_mut",
    "into_iter",
    "keys",
    "into_keys",
    "values",
    "values_mut",
    "into_values",
    "drain",
    "extract_if",
];

const HASHED: [&str; 3] = ["HashMap", "HashSet", "HashTable"];

/// One token of a source, groups flattened to their brackets.
struct Token {
    text: String,
    line: usize,
}

/// Flattens a stream and leaves out items that exist only in tests.
fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let mut rest = trees.as_slice();
    while let [tree, after @ ..] = rest {
        rest = after;
        match tree {
            TokenTree::Punct(hash) if hash.as_char() == '#' && opens_test_item(after) => rest = after_item(after),
            TokenTree::Group(group) => {
                let (open, close) = brackets(group.delimiter());
                tokens.push(Token {
                    text: open.into(),
                    line: group.span_open().start().line,
                });
                flatten(group.stream(), tokens);
                tokens.push(Token {
                    text: close.into(),
                    line: group.span_close().start().line,
                });
            }
            // Text in quotes is no code, whatever it says.
            TokenTree::Literal(literal) => tokens.push(Token {
                text: "\"\"".into(),
                line: literal.span().start().line,
            }),
            other => tokens.push(Token {
                text: other.to_string(),
                line: other.span().start().line,
            }),
        }
    }
}

fn brackets(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

/// Tells whether the attribute whose `#` was just read is `#[test]` or `#[cfg(test)]`.
fn opens_test_item(after_hash: &[TokenTree]) -> bool {
    let Some(TokenTree::Group(attribute)) = after_hash.first() else {
        return false;
    };
    let text: String = attribute.stream().to_string().split_whitespace().collect();
    text == "test" || text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

/// Skips to behind the item's body or semicolon.
fn after_item(trees: &[TokenTree]) -> &[TokenTree] {
    let end = trees.iter().position(|tree| match tree {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    });
    end.map_or(&[], |end| &trees[end + 1..])
}

/// A path that a source mentions: `a::b`, written out, or one leaf of an import.
struct Mention {
    segments: Vec<String>,
    line: usize,
    imported: bool,
}

/// Collects all paths. Imports are written out: `use a::{b, c::d};` mentions `a::b` and `a::c::d`.
fn mentions(tokens: &[Token]) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].text == "use" {
            at = import(tokens, at + 1, &[], &mut found);
        } else if is_name(&tokens[at].text) {
            let (segments, next) = path(tokens, at);
            found.push(Mention {
                segments,
                line: tokens[at].line,
                imported: false,
            });
            at = next;
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one branch of a `use` tree and returns where it ends.
fn import(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<Mention>) -> usize {
    let mut segments = prefix.to_vec();
    let line = tokens.get(at).map_or(0, |token| token.line);
    while let Some(token) = tokens.get(at) {
        match token.text.as_str() {
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token.text != "}") {
                    at = import(tokens, at, &segments, found);
                    // Over the comma, or over anything unexpected, so that this always moves on.
                    at += usize::from(tokens.get(at).is_some_and(|token| token.text != "}"));
                }
                return at + 1;
            }
            "as" => at += 1, // the new name does not matter
            ":" | "*" | "self" => {}
            name if is_name(name) => segments.push(name.to_owned()),
            _ => break, // `,` `}` `;`, or the `<` of `impl Trait + use<'a>`, which is no import
        }
        at += 1;
    }
    if !segments.is_empty() {
        found.push(Mention {
            segments,
            line,
            imported: true,
        });
    }
    at
}

/// Reads `a::b::c` from its first name on and returns where it ends.
fn path(tokens: &[Token], mut at: usize) -> (Vec<String>, usize) {
    let mut segments = vec![tokens[at].text.clone()];
    at += 1;
    while let [first, second, name, ..] = &tokens[at..] {
        if first.text != ":" || second.text != ":" || !is_name(&name.text) {
            break;
        }
        segments.push(name.text.clone());
        at += 3;
    }
    (segments, at)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Tells whether a mention reaches a banned path; `core` and `alloc` are parts of `std`.
fn reaches(mention: &Mention, banned: &str) -> bool {
    let banned: Vec<&str> = banned.split("::").collect();
    let mut segments: Vec<&str> = mention.segments.iter().map(String::as_str).collect();
    if let Some(root @ (&mut "core" | &mut "alloc")) = segments.first_mut() {
        *root = "std";
    }
    let shorter = segments.len().min(banned.len());
    segments[..shorter] == banned[..shorter] && (shorter == banned.len() || mention.imported)
}

/// Names of variables and fields that are declared with a hashed type or value: `name: &HashMap<…>`, `name = HashSet::…`.
fn hashed_names(tokens: &[Token]) -> BTreeSet<&str> {
    let texts: Vec<&str> = tokens.iter().map(|token| token.text.as_str()).collect();
    let declared = texts
        .windows(3)
        .enumerate()
        .filter(|(_, window)| is_name(window[0]) && (window[1] == "=" || (window[1] == ":" && window[2] != ":")));
    let hashed = declared.filter(|(at, _)| {
        let mut rest = texts[at + 2..]
            .iter()
            .skip_while(|text| matches!(**text, "&" | "mut" | ":" | "hashbrown"));
        rest.next().is_some_and(|text| HASHED.contains(text))
    });
    hashed.map(|(_, window)| window[0]).collect()
}

/// Finds uses of a hash map's own order: a method that iterates, or a `for` loop over it.
fn unordered_uses(tokens: &[Token]) -> Vec<(usize, String)> {
    let names = hashed_names(tokens);
    let mut found = Vec::new();
    for (at, token) in tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| names.contains(token.text.as_str()))
    {
        let next: Vec<&str> = tokens[at + 1..]
            .iter()
            .take(3)
            .map(|token| token.text.as_str())
            .collect();
        let calls = matches!(next[..], [".", method, "("] if UNORDERED.contains(&method));
        let mut before = tokens[..at].iter().rev().map(|token| token.text.as_str());
        let loops = before.find(|text| !matches!(*text, "." | "self" | "&" | "mut")) == Some("in");
        if calls || (loops && next.first() == Some(&"{")) {
            found.push((token.line, format!("the order of `{}`, which is hashed", token.text)));
        }
    }
    found
}

/// Lists what a source must not contain, with its line.
fn violations(source: &str, wall: &Wall) -> Vec<(usize, String)> {
    let stream: TokenStream = source.parse().expect("the source is Rust");
    let mut tokens = Vec::new();
    flatten(stream, &mut tokens);
    let mut found = unordered_uses(&tokens);
    for mention in mentions(&tokens) {
        let path = mention.segments.join("::");
        let banned = wall
            .paths
            .iter()
            .copied()
            .flatten()
            .any(|banned| reaches(&mention, banned));
        let called = mention
            .segments
            .windows(2)
            .any(|pair| CALLS.iter().any(|call| pair == call));
        if banned || called {
            found.push((mention.line, path));
        }
    }
    let calls = tokens
        .windows(2)
        .filter(|pair| MACROS.contains(&pair[0].text.as_str()) && pair[1].text == "!");
    found.extend(calls.map(|pair| (pair[0].line, format!("{}!", pair[0].text))));
    found.sort();
    found
}

/// Lists the Rust files below a folder; those with nothing but tests go by the name `tests`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder of sources can be read") {
        let path = entry.expect("its entries too").path();
        if path.file_stem().is_some_and(|stem| stem == "tests") {
            continue;
        } else if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn pure_crates_use_no_clock_environment_or_hash_order() {
    let mut found = Vec::new();
    for wall in &WALLS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(wall.folder).join("src");
        let mut files = Vec::new();
        sources(&folder, &mut files);
        assert!(!files.is_empty(), "{} has no sources", folder.display());
        for file in files {
            let source = std::fs::read_to_string(&file).expect("a source can be read");
            let lines = violations(&source, wall);
            found.extend(
                lines
                    .into_iter()
                    .map(|(line, what)| format!("{}:{line}: {what}", file.display())),
            );
        }
    }
    found.sort();
    assert!(
        found.is_empty(),
        "a pure crate uses what it must not:\n{}",
        found.join("\n")
    );
}

/// The scan must find each of these.
#[test]
fn the_scan_finds() {
    for source in [
        "use std::time::Instant;",
        "use std::{io::Read, time::{Duration, SystemTime as Clock}};",
        "use std::time;",
        "use std::collections::*;",
        "use ::std::collections::HashMap;",
        "fn f() { let t = std::time::Instant::now(); }",
        "fn f() -> std::collections::HashSet<u8> { todo!() }",
        "use std::fs::File;",
        "fn f() { std::env::var(\"TZ\"); }",
        "fn f() { std::net::TcpStream::connect(\"x\"); }",
        "fn f() { thread::current().id(); }",
        "fn f() { let now = chrono::Utc::now(); }",
        "fn f<'a>() -> impl Fn() + use<'a> { std::fs::read(\"x\"); }",
        "macro_rules! m { () => { std::process::exit(1) } }",
        "fn f() { println!(\"{}\", 1); }",
        "fn f() { writeln!(io::stdout(), \"x\"); }",
        "struct S { map: HashMap<u8, u8> } impl S { fn f(&self) { self.map.iter(); } }",
        "fn f(map: &HashMap<u8, u8>) { for (a, b) in map { g(a, b); } }",
        "fn f(map: &mut hashbrown::HashMap<u8, u8>) { for b in map.values_mut() { *b = 1; } }",
        "fn f() { let mut set = hashbrown::HashSet::new(); for a in &set { g(a); } }",
        "#[cfg(not(test))] use std::fs;",
        "#[cfg(test)] mod tests { } use std::fs;",
    ] {
        assert!(!violations(source, &WALLS[0]).is_empty(), "not found: {source}");
    }
}

/// The scan must leave each of these alone.
#[test]
fn the_scan_allows() {
    for source in [
        "use std::time::Duration;",
        "use std::net::{IpAddr, SocketAddr};",
        "use std::collections::{BTreeMap, btree_map::Entry};",
        "use std::io::{self, Write};",
        "use std::thread; fn f() { thread::scope(|s| {}); }",
        "// std::fs::read(\"x\")",
        "/// Unlike [`std::time::Instant`] it does not tick.\nstruct S;",
        "fn f() -> &'static str { \"std::env::var println!(x)\" }",
        "#[cfg(test)] mod tests { use std::fs; fn f() { println!(\"x\"); } }",
        "#[test] fn f() { std::fs::read(\"x\"); }",
        "#[cfg(test)] use std::collections::HashMap;",
        "struct S { map: HashMap<u8, u8> } impl S { fn f(&self) { self.map.get(&1); } }",
        "struct S { map: BTreeMap<u8, u8> } impl S { fn f(&self) { for a in &self.map { } } }",
        "fn f(env: u8, fs: u8) { env + fs; }",
        "fn f<'a>(x: &'a u8) -> impl Fn() + use<'a> { move || { x; } }",
    ] {
        assert_eq!(violations(source, &WALLS[0]), [], "{source}");
    }
}
