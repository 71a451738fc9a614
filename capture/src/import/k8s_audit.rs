//! Audit logs of the Kubernetes API server: a line or a document per event, lists of events, and `EventList`s as the
//! webhook sends them.

use std::borrow::Cow;

use ctrace_trace::event::{Arg, Event, EventType};
use serde::Deserialize;
use serde_json::Value;

use super::documents::Whole;
use super::lines::{self, Line};
use super::{Confidence, End, ImportError, Importer, Input, Origin, Reading, Sink, documents};
use crate::docker::parse_rfc3339;

/// The importer of Kubernetes audit logs.
pub(super) struct K8sAudit;

impl Importer for K8sAudit {
    fn name(&self) -> &'static str {
        "k8s-audit"
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        let has = |word: &[u8]| memchr::memmem::find(start, word).is_some();
        if !start.trim_ascii_start().starts_with(b"{") && !start.trim_ascii_start().starts_with(b"[") {
            return Confidence::No;
        }
        match lines::first(start).next().map(serde_json::from_slice::<Json<'_>>) {
            Some(Ok(json)) if json.is_event() => Confidence::Likely,
            _ if has(b"\"audit.k8s.io/") || has(b"\"auditID\"") && has(b"\"stage\"") => Confidence::Likely,
            _ => Confidence::No,
        }
    }

    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        let start = input.start();
        let json: Json<'_> = serde_json::from_slice(lines::first(start).next()?).ok()?;
        json.ts()
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(K8sAudit)
    }
}

impl Reading for K8sAudit {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        documents::each(input, sink, document)
    }
}

/// What is looked at of an event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(rename = "auditID", borrow, default)]
    audit_id: Cow<'a, str>,
    #[serde(borrow, default)]
    stage: Cow<'a, str>,
    #[serde(borrow, default)]
    verb: Cow<'a, str>,
    #[serde(borrow)]
    user: Option<User<'a>>,
    #[serde(borrow)]
    object_ref: Option<Object<'a>>,
    response_status: Option<Status>,
    #[serde(borrow)]
    stage_timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    request_received_timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    timestamp: Option<Text<'a>>,
}

/// Borrowed where it can be, which serde does not do for what may be absent.
#[derive(Default, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Default, Deserialize)]
struct User<'a> {
    #[serde(borrow)]
    username: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    resource: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
struct Status {
    code: Option<i64>,
}

impl Json<'_> {
    fn is_event(&self) -> bool {
        (self.kind == "Event" || self.kind.is_empty()) && !self.audit_id.is_empty()
    }

    fn ts(&self) -> Option<u64> {
        let stamps = [&self.stage_timestamp, &self.timestamp, &self.request_received_timestamp];
        stamps.into_iter().flatten().find_map(|t| parse_rfc3339(&t.0))
    }
}

fn document(line: &Line<'_>, is_whole: Whole, sink: &mut Sink<'_>) -> Result<bool, ImportError> {
    let text = line.text.trim_ascii();
    if text.starts_with(b"{")
        && let Ok(json) = serde_json::from_slice::<Json<'_>>(text)
        && json.kind != "EventList"
    {
        event(&json, text, line.origin, sink)?;
        return Ok(true);
    }
    match serde_json::from_slice::<Value>(text) {
        Ok(value) => elements(value, line.origin, sink)?,
        Err(_) if is_whole == Whole::Unknown => return Ok(false),
        Err(error) => sink.bad(line.origin, 0, &error.to_string(), text)?,
    }
    Ok(true)
}

/// The events of lists, and of lists in lists.
fn elements(value: Value, origin: Origin, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    let items = match value {
        Value::Array(items) => items,
        Value::Object(mut object) if object.contains_key("items") => match object.remove("items") {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        },
        other => {
            let raw = other.to_string();
            return match serde_json::from_str::<Json<'_>>(&raw) {
                Ok(json) => event(&json, raw.as_bytes(), origin, sink),
                Err(_) => sink.unknown(origin, 0, "no Kubernetes audit event", raw.as_bytes()),
            };
        }
    };
    items.into_iter().try_for_each(|item| elements(item, origin, sink))
}

fn event(json: &Json<'_>, raw: &[u8], origin: Origin, sink: &mut Sink<'_>) -> Result<(), ImportError> {
    if !json.is_event() {
        return sink.unknown(origin, 0, "no Kubernetes audit event", raw);
    }
    let Some(ts) = json.ts() else {
        return sink.bad(origin, 0, "an event without a time", raw);
    };
    let object = json.object_ref.as_ref();
    let user = json.user.as_ref().and_then(|u| u.username.as_ref());
    let resource = object.and_then(|o| o.resource.as_ref());
    let namespace = object.and_then(|o| o.namespace.as_ref());
    let name = object.and_then(|o| o.name.as_ref());
    let code = json.response_status.as_ref().and_then(|s| s.code);
    let code = code.map(|c| c.to_string()).unwrap_or_default();
    let args = [
        Arg::Str(raw),
        Arg::text(json.audit_id.as_bytes()),
        Arg::text(json.stage.as_bytes()),
        Arg::text(json.verb.as_bytes()),
        arg(user),
        arg(resource),
        arg(namespace),
        arg(name),
        Arg::text(code.as_bytes()),
    ];
    sink.event(origin, &Event::bare(ts, EventType::K8S_AUDIT, &args))
}

fn arg<'a>(text: Option<&'a Text<'_>>) -> Arg<'a> {
    text.map_or(Arg::None, |t| Arg::text(t.0.as_bytes()))
}
