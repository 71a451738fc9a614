//! Paths marked by folders, against each test alone.

use memchr::memmem::Finder;
use regex::bytes::Regex;

use ctrace_trace::block::decoded::StrId;

use super::met::MAX_FOLDERS;
use super::*;
use crate::condition::Operator;
use crate::typed::test::{StrTest, by_length};

fn text(t: &str) -> Box<[u8]> {
    t.as_bytes().into()
}

fn set(t: &str) -> Box<[Box<[u8]>]> {
    let mut set = [text(t), text("/etc/ssh")];
    set.sort_by(|a, b| by_length(a, b));
    set.into()
}

fn tests() -> Vec<Test> {
    let finder = |n: &str| StrTest::Contains(Box::new(Finder::new(n.as_bytes()).into_owned()));
    let glob = |p: &str, fold| StrTest::Glob(Glob::new(p.as_bytes(), fold).unwrap());
    let mut out: Vec<StrTest> = Vec::new();
    for t in [
        "",
        "/",
        "/etc",
        "/etc/",
        "/etc/passwd",
        "tc/p",
        "passwd",
        "d",
        "/passwd",
        "etc/ssh/",
        "a",
    ] {
        out.extend([
            StrTest::Compare(Operator::Eq, text(t)),
            StrTest::Compare(Operator::Ne, text(t)),
            StrTest::Compare(Operator::Lt, text(t)),
            StrTest::StartsWith(text(t)),
            StrTest::EndsWith(text(t)),
            StrTest::IContains(text(t)),
            StrTest::In(set(t)),
            StrTest::Pmatch(PathPrefixes::new([t.as_bytes(), b"/home/*/x"])),
            finder(t),
        ]);
    }
    for pattern in [
        "/etc/*",
        "/etc/*/key?",
        "*",
        "*passwd",
        "*tc/s*",
        "*/key?",
        "/et",
        "/[eh]*d",
    ] {
        out.extend([glob(pattern, false), glob(pattern, true)]);
    }
    out.push(StrTest::Regex(Regex::new("^/etc/[^/]*$").unwrap()));
    out.push(StrTest::Never);
    let mut out: Vec<Test> = out.into_iter().map(Test::Str).collect();
    out.push(Test::Exists);
    out
}

const PATHS: [&str; 17] = [
    "/",
    "/etc",
    "/etc/",
    "/etc/passwd",
    "/etc/passwd-",
    "/ETC/Passwd",
    "/etc/ssh/key1",
    "/etc/ssh/",
    "/etc/ssh",
    "/home/a/x",
    "/home/a/x/passwd",
    "/home",
    "passwd",
    "a",
    "pipe:[12]",
    "//etc//passwd",
    "/a/very/long/path/to/some/place/etc/passwd",
];

#[test]
fn as_each_test_alone() {
    let tests = tests();
    let part = |path: &'static str, subject| {
        let (folder, name) = cut(path.as_bytes());
        match subject {
            Subject::Path => path.as_bytes(),
            Subject::Folder => directory(folder),
            Subject::Name => name,
        }
    };
    for subject in [Subject::Path, Subject::Folder, Subject::Name] {
        let mut matcher = PathMatcher::new(tests.len());
        tests.iter().zip(0..).for_each(|(t, bit)| matcher.add(subject, t, bit));
        matcher.finish();
        // What is known of a folder by then must not matter.
        for path in PATHS.iter().chain(&PATHS) {
            let mut out = vec![0; mask::words_for(tests.len())];
            let folder = matcher.mark(path.as_bytes(), &mut out);
            mask::add(&mut out, matcher.bits(folder));
            for (test, bit) in tests.iter().zip(0..) {
                let text = part(path, subject);
                let expected = !text.is_empty() && test.holds(&Value::Str(text.into()));
                assert_eq!(mask::has(&out, bit), expected, "{test:?} on {subject:?} of {path}");
            }
        }
    }
}

#[test]
fn many_folders_are_forgotten() {
    let tests = [
        Test::Str(StrTest::StartsWith(text("/9"))),
        Test::Str(StrTest::EndsWith(text("7/x"))),
    ];
    let mut matcher = PathMatcher::new(2);
    tests
        .iter()
        .zip(0..)
        .for_each(|(t, bit)| matcher.add(Subject::Path, t, bit));
    matcher.finish();
    for n in (0..3 * MAX_FOLDERS).chain(0..100) {
        let mut out = [0];
        let path = format!("/{n}/x");
        let cut = Cut {
            at: path.len() as u32 - 1,
            like: StrId(n as u32),
        };
        let folder = matcher.mark_cut(path.as_bytes(), cut, &mut out);
        mask::add(&mut out, matcher.bits(folder));
        assert_eq!(mask::has(&out, 0), path.starts_with("/9"), "{path}");
        assert_eq!(mask::has(&out, 1), path.ends_with("7/x"), "{path}");
    }
}
