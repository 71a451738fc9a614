//! What containers wrote, as engines keep it: Docker's json-file driver, and the log format of Kubernetes' runtimes (CRI).

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use ctrace_trace::container::Container;
use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::process::ProcessImage;
use serde::Deserialize;

use super::lines::{self, Line};
use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink};
use crate::docker::{ContainerImages, parse_rfc3339};

/// The importer of Docker's json-file logs.
pub(super) struct JsonFile;

/// The importer of logs of Kubernetes' container runtimes.
pub(super) struct Cri;

impl Importer for JsonFile {
    fn name(&self) -> &'static str {
        "json-file"
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        match lines::first(start).next() {
            Some(line) if parse_json(line).is_ok_and(|e| !e.stream.is_empty()) => Confidence::Likely,
            _ => Confidence::No,
        }
    }

    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        let start = input.start();
        lines::first(start).find_map(|l| parse_json(l).ok()).map(|e| e.ts)
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(Log::new(parse_json))
    }
}

impl Importer for Cri {
    fn name(&self) -> &'static str {
        "cri"
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        match lines::first(start).next() {
            Some(line) if parse_cri(line).is_ok() => Confidence::Likely,
            _ => Confidence::No,
        }
    }

    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        let start = input.start();
        lines::first(start).find_map(|l| parse_cri(l).ok()).map(|e| e.ts)
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(Log::new(parse_cri))
    }
}

/// A line that a container wrote, or a piece of one.
#[derive(Debug)]
struct Entry<'a> {
    ts: u64,
    stream: Cow<'a, str>,
    message: Cow<'a, [u8]>,
    /// The line goes on in the next entry of its stream.
    is_partial: bool,
    /// What else the engine wrote, a JSON object.
    attrs: Option<Cow<'a, str>>,
}

type Parse = for<'a> fn(&'a [u8]) -> Result<Entry<'a>, String>;

/// The reading of logs.
struct Log {
    parse: Parse,
    containers: ContainerImages,
}

impl Log {
    fn new(parse: Parse) -> Log {
        Log {
            parse,
            containers: ContainerImages::default(),
        }
    }
}

impl Reading for Log {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        let image = container_of(input.path()).and_then(|container| {
            self.containers.learn(&Arc::new(container.clone()));
            self.containers.get_image(&container.id)
        });
        lines::each(input, sink, |line, sink| entry(self.parse, image, line, sink))
    }
}

fn entry(
    parse: Parse,
    image: Option<&Arc<ProcessImage>>,
    line: &Line<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), ImportError> {
    let entry = match parse(line.text) {
        Ok(entry) => entry,
        Err(reason) => return sink.bad(line.origin, 0, &reason, line.text),
    };
    let args = [
        Arg::text(entry.stream.as_bytes()),
        Arg::Str(&entry.message),
        if entry.is_partial { Arg::Num(1) } else { Arg::None },
        entry.attrs.as_ref().map_or(Arg::None, |a| Arg::Str(a.as_bytes())),
    ];
    let event = Event {
        image,
        ..Event::bare(entry.ts, EventType::CONTAINER_LOG, &args)
    };
    sink.event(line.origin, &event)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(default)]
    attrs: Option<Object>,
}

/// A line of a newer engine.
#[derive(Deserialize)]
struct Wider<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(default)]
    attrs: Option<Object>,
    #[serde(flatten)]
    others: Object,
}

type Object = serde_json::Map<String, serde_json::Value>;

/// What every line has, and what else there is. Looking for unknown members takes several times as long.
fn read_json(line: &[u8]) -> serde_json::Result<(Json<'_>, Object)> {
    if let Ok(json) = serde_json::from_slice(line) {
        return Ok((json, Object::new()));
    }
    let wider: Wider<'_> = serde_json::from_slice(line)?;
    let json = Json {
        log: wider.log,
        stream: wider.stream,
        time: wider.time,
        attrs: wider.attrs,
    };
    Ok((json, wider.others))
}

/// The line as the engine writes it: members in its own order and no blanks. Nothing for any other JSON. Most of a log
/// is such lines, and reading them as any JSON takes three times as long.
fn read_own_form(line: &[u8]) -> Option<Entry<'_>> {
    let rest = line.strip_prefix(b"{\"log\":")?;
    let (log, rest) = quoted(rest)?;
    let (stream, rest) = quoted(rest.strip_prefix(b",\"stream\":")?)?;
    let (attrs, rest) = match rest.strip_prefix(b",\"attrs\":") {
        Some(rest) => flat_object(rest).map(|(attrs, rest)| (Some(attrs), rest))?,
        None => (None, rest),
    };
    let (time, rest) = quoted(rest.strip_prefix(b",\"time\":")?)?;
    if rest != b"}" {
        return None;
    }
    let log: Cow<'_, str> = match memchr::memchr(b'\\', log) {
        Some(_) => Cow::Owned(serde_json::from_slice(log).ok()?),
        None => Cow::Borrowed(inside(log)?),
    };
    let attrs = match attrs {
        Some(text) => Some(Cow::Borrowed(std::str::from_utf8(text).ok()?)),
        None => None,
    };
    let attrs = attrs.filter(|text| *text != "{}");
    Some(entry_of(
        log,
        parse_rfc3339(inside(time)?)?,
        inside(stream)?.into(),
        attrs,
    ))
}

/// The string at the beginning, with its quotes, and what follows. Control characters make it no JSON.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 1;
    text.strip_prefix(b"\"")?;
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(found) == Some(&b'"') {
            let (string, rest) = text.split_at_checked(found + 1)?;
            // Without an early end this is done for many bytes at once.
            let least = string.iter().fold(u8::MAX, |least, b| least.min(*b));
            return (least >= b' ').then_some((string, rest));
        }
        at = found + 2;
    }
}

/// A string without escapes, without its quotes.
fn inside(quoted: &[u8]) -> Option<&str> {
    let text = quoted.get(1..quoted.len().checked_sub(1)?)?;
    let plain = memchr::memchr(b'\\', text).is_none();
    std::str::from_utf8(text).ok().filter(|_| plain)
}

/// An object of strings at the beginning, and what follows.
fn flat_object(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = text.strip_prefix(b"{")?;
    if !rest.starts_with(b"}") {
        loop {
            let (key, after) = quoted(rest)?;
            let (value, after) = quoted(after.strip_prefix(b":")?)?;
            inside(key)?;
            inside(value)?;
            match after.strip_prefix(b",") {
                Some(after) => rest = after,
                None => {
                    rest = after;
                    break;
                }
            }
        }
    }
    let rest = rest.strip_prefix(b"}")?;
    text.split_at_checked(text.len() - rest.len())
}

fn parse_json(line: &[u8]) -> Result<Entry<'_>, String> {
    if let Some(entry) = read_own_form(line) {
        return Ok(entry);
    }
    if !line.trim_ascii_start().starts_with(b"{") {
        return Err("no JSON object".to_owned());
    }
    let (json, others) = read_json(line).map_err(|e| e.to_string())?;
    let ts = parse_rfc3339(&json.time).ok_or("the time is not one of RFC 3339")?;
    let mut attrs = json.attrs.unwrap_or_default();
    attrs.extend(others);
    let attrs = (!attrs.is_empty()).then(|| serde_json::Value::Object(attrs).to_string().into());
    Ok(entry_of(json.log, ts, json.stream, attrs))
}

/// A message without the line's end; without one it goes on.
fn entry_of<'a>(log: Cow<'a, str>, ts: u64, stream: Cow<'a, str>, attrs: Option<Cow<'a, str>>) -> Entry<'a> {
    let is_partial = !log.ends_with('\n');
    let mut message = match log {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    if !is_partial {
        match &mut message {
            Cow::Borrowed(text) => *text = text.strip_suffix(b"\n").unwrap_or(text),
            Cow::Owned(text) => text.truncate(text.len().saturating_sub(1)),
        }
    }
    Entry {
        ts,
        stream,
        message,
        is_partial,
        attrs,
    }
}

/// `2026-11-21T05:00:00.5+01:00 stdout F text`: `P` in place of `F` for a line that goes on.
fn parse_cri(line: &[u8]) -> Result<Entry<'_>, String> {
    let mut parts = line.splitn(4, |b| *b == b' ');
    let mut word = || {
        parts
            .next()
            .and_then(|p| std::str::from_utf8(p).ok())
            .unwrap_or_default()
    };
    let ts = parse_rfc3339(word()).ok_or("no time at the beginning")?;
    let stream = word();
    let tags = word();
    if !matches!(stream, "stdout" | "stderr") || !tags.starts_with(['F', 'P']) {
        return Err("no stream and tag behind the time".to_owned());
    }
    Ok(Entry {
        ts,
        stream: stream.into(),
        is_partial: tags.starts_with('P'),
        message: parts.next().unwrap_or_default().into(),
        attrs: None,
    })
}

/// The container that a log is of, as its path tells: Docker's `ID/ID-json.log`, and the links that Kubernetes makes,
/// `POD_NAMESPACE_CONTAINER-ID.log`.
fn container_of(path: &Path) -> Option<Container> {
    let file = path.file_name()?.to_str()?;
    let is_id = |id: &str| id.len() == 64 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if let Some((id, _)) = file.split_once("-json.log")
        && is_id(id)
    {
        return Some(Container {
            id: id.to_owned(),
            engine: "docker".to_owned(),
            ..Container::default()
        });
    }
    let stem = file.split(".log").next()?;
    let (names, id) = stem.rsplit_once('-').filter(|(_, id)| is_id(id))?;
    let mut names = names.splitn(3, '_');
    let (pod, namespace, name) = (names.next()?, names.next()?, names.next()?);
    Some(Container {
        id: id.to_owned(),
        engine: "cri".to_owned(),
        name: name.to_owned(),
        labels: vec![
            ("io.kubernetes.container.name".to_owned(), name.to_owned()),
            ("io.kubernetes.pod.name".to_owned(), pod.to_owned()),
            ("io.kubernetes.pod.namespace".to_owned(), namespace.to_owned()),
        ],
        ..Container::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_own_form_reads_as_any_json_does() {
        let time = "\"time\":\"2026-11-20T23:15:42.027272051Z\"";
        let own = [
            format!("{{\"log\":\"out 0\\n\",\"stream\":\"stdout\",{time}}}"),
            format!(
                "{{\"log\":\"a \\\"b\\\" \\u00e9\\\\\",\"stream\":\"stderr\",\"attrs\":{{\"A\":\"1\",\"tag\":\"x/y\"}},{time}}}"
            ),
            format!("{{\"log\":\"\",\"stream\":\"\",\"attrs\":{{}},{time}}}"),
        ];
        for line in own {
            // A blank makes it the general reader's.
            let other = line.replacen("{\"log\"", "{ \"log\"", 1);
            let (fast, slow) = (read_own_form(line.as_bytes()), parse_json(other.as_bytes()));
            assert!(read_own_form(other.as_bytes()).is_none());
            assert_eq!(
                format!("{:?}", fast.expect("own form")),
                format!("{:?}", slow.expect("JSON"))
            );
        }
        for other in [
            "{\"log\":\"a\u{1}b\\n\",\"stream\":\"\",\"time\":\"\"}",
            "{\"log\":\"",
            "{\"log\":\"\\",
            "{\"log\":",
        ] {
            assert!(read_own_form(other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn paths_tell_the_container() {
        let id = "ab".repeat(32);
        let docker = container_of(Path::new(&format!(
            "/var/lib/docker/containers/{id}/{id}-json.log.2.gz"
        )));
        assert_eq!(
            docker.map(|c| (c.id, c.engine)),
            Some((id.clone(), "docker".to_owned()))
        );
        let pod = container_of(Path::new(&format!("web-0_shop_nginx-{id}.log"))).expect("a container");
        assert_eq!((pod.id, pod.name.as_str()), (id, "nginx"));
        assert_eq!(pod.labels[2].1, "shop");
        for other in ["x-json.log", "a_b_c-12.log", "log", "é-json.log"] {
            assert_eq!(container_of(Path::new(other)), None, "{other}");
        }
    }
}
