//! Events of Tracee, as `--output json` writes them. Those of system calls become events of these calls.

use std::borrow::Cow;
use std::sync::Arc;

use ctrace_trace::event::{Arg, Event, EventType};
use ctrace_trace::schema::{EventSpec, FdUse, Param, ParamKind, Schema};
use serde_json::{Value, json};

use super::json_records::{JsonFormat, Records, Told};
use super::lines::Line;
use super::members::{Fields, bytes, id, number, text};
use super::processes::Seen;
use super::strace::arguments::{self, Told as Argument};
use super::world::{SeenContainer, pod_labels};
use super::{Confidence, End, ImportError, Importer, Input, Reading, Sink, documents};
use crate::docker::parse_rfc3339;
use crate::json::{Document, Json};

/// The importer of Tracee's events.
pub(super) struct Tracee;

impl Importer for Tracee {
    fn name(&self) -> &'static str {
        FORMAT.name
    }

    fn sniff(&self, start: &[u8]) -> Confidence {
        FORMAT.sniff(start)
    }

    fn first_ts(&self, input: &mut Input) -> Option<u64> {
        FORMAT.first_ts(input)
    }

    fn begin(&self) -> Box<dyn Reading> {
        Box::new(Events {
            schema: Schema::current(),
            others: Records::new(FORMAT),
        })
    }
}

/// The reading of events.
struct Events {
    schema: Arc<Schema>,
    others: Records,
}

impl Reading for Events {
    fn file(&mut self, input: &mut Input, sink: &mut Sink<'_>) -> Result<End, ImportError> {
        documents::read(input, sink, |record, line, sink| match flat(record) {
            Some(flat) => self.record(Document::default().take(&flat).root(), line, sink),
            None => self.record(record, line, sink),
        })
    }
}

impl Events {
    fn record(&mut self, record: Json<'_>, line: &Line<'_>, sink: &mut Sink<'_>) -> Result<(), ImportError> {
        let schema = self.schema.clone();
        let call = call(&schema, record).and_then(|spec| Some((spec, who(record, &mut Fields::of(record)).ok()?)));
        match call {
            Some((spec, told)) => self.call(spec, record, told, line, sink),
            None => self.others.record(record, line, sink),
        }
    }

    fn call(
        &mut self,
        spec: &EventSpec,
        record: Json<'_>,
        told: Told<'_>,
        line: &Line<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<(), ImportError> {
        let image = self.others.world.image(told.seen, told.container);
        let given = record.get("args").and_then(Json::as_array).into_iter().flatten();
        let given: Vec<Json<'_>> = given.collect();
        let arguments: Vec<Argument<'_>> = spec.params.iter().map(|p| argument(p, &given)).collect();
        let args: Vec<Arg<'_>> = arguments.iter().map(Argument::arg).collect();
        let ret = record.get("returnValue").and_then(Json::as_i64);
        let fd_num = match spec.fd {
            FdUse::None => None,
            FdUse::Arg(slot) => given.get(usize::from(slot)).and_then(|a| a.get("value")?.as_i64()),
            FdUse::Ret => ret.filter(|r| *r >= 0),
        };
        let event = Event {
            cpu: id(record, &["processorId"])
                .and_then(|c| u16::try_from(c).ok())
                .unwrap_or(0),
            tid: told.tid.unwrap_or(0),
            image,
            ret: ret.filter(|_| spec.has_ret),
            fd_num: fd_num.and_then(|fd| i32::try_from(fd).ok()),
            ..Event::bare(told.ts, spec.id, &args)
        };
        sink.event(line.origin, &event)
    }
}

/// The type of a system call's event: its number is that of the call on x86_64, and its name agrees.
fn call<'s>(schema: &'s Schema, record: Json<'_>) -> Option<&'s EventSpec> {
    /// Numbers of Tracee's own events begin here.
    const OWN: u32 = 700;
    let name = text(record, &["eventName"]);
    let Some(nr) = id(record, &["eventId"]) else {
        // Only calls have a result.
        record.get("returnValue").filter(|v| v.is_number())?;
        let is_it = |spec: &&EventSpec| spec.name == name && spec.id.is_syscall() && !spec.id.is_compat();
        return schema.specs().iter().find(is_it);
    };
    let spec = schema.get(EventType::syscall(Some(nr).filter(|nr| *nr < OWN)?))?;
    (spec.name == name || name.strip_suffix("64") == Some(&spec.name)).then_some(spec)
}

/// A parameter, by its position among the kernel's arguments.
fn argument<'v>(param: &Param, given: &[Json<'v>]) -> Argument<'v> {
    let value = param.arg.and_then(|slot| given.get(usize::from(slot))?.get("value"));
    let told = value.and_then(Json::as_str);
    match (param.kind, told) {
        (ParamKind::Path, Some(path)) => Argument::Path(path.as_bytes().into(), path.as_bytes().into()),
        (ParamKind::Str, Some(text)) => Argument::Text(text.as_bytes().into()),
        (ParamKind::SockAddr, _) => {
            let address = value.and_then(address);
            address.map_or(Argument::Nothing, |address| Argument::Text(address.into()))
        }
        (kind, None) if kind.is_num() => {
            let bits = value.and_then(|v| v.as_i64().or_else(|| v.as_u64().map(u64::cast_signed)));
            bits.map_or(Argument::Nothing, Argument::Number)
        }
        // With `--output option:parse-arguments`.
        (ParamKind::Flags(set) | ParamKind::Enum(set), Some(names)) => {
            arguments::flags(set, names.as_bytes()).map_or(Argument::Nothing, Argument::Number)
        }
        (kind, Some(name)) if kind.is_num() => {
            let value = arguments::number(name.as_bytes()).or_else(|| arguments::signal(name.as_bytes()));
            value.map_or(Argument::Nothing, Argument::Number)
        }
        _ => Argument::Nothing,
    }
}

/// `{"sa_family":"AF_INET","sin_addr":"192.0.2.1","sin_port":"80"}`
fn address(addr: Json<'_>) -> Option<Vec<u8>> {
    let told = |name: &'static str| Some(text(addr, &[name])).filter(|t| !t.is_empty());
    let port = |name: &'static str| number(addr, &[name]);
    if let Some(path) = told("sun_path") {
        return Some(path.as_bytes().to_vec());
    }
    if let Some(ip) = told("sin_addr") {
        return Some(format!("{ip}:{}", port("sin_port")?).into_bytes());
    }
    Some(format!("[{}]:{}", told("sin6_addr")?, port("sin6_port")?).into_bytes())
}

/// What is no system call.
const FORMAT: JsonFormat = JsonFormat {
    name: "tracee",
    is_it,
    tell,
};

fn is_it(record: Json<'_>) -> bool {
    let has = |names: [&str; 3]| names.iter().all(|k| record.get(k).is_some());
    has(["eventName", "timestamp", "processName"]) || has(["name", "timestamp", "workload"])
}

/// An event as newer versions print it (`Event` of their `event.proto`), in the form of those before. Its number is left
/// out: they count calls in an order of their own.
fn flat(record: Json<'_>) -> Option<Value> {
    let workload = record.get("workload")?;
    let process = workload.get("process")?;
    let container = workload.get("container").unwrap_or(Json::null());
    let count = |name: &str| process.pointer(name).and_then(unwrapped);
    let given: Vec<Value> = record
        .get("data")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .map(given)
        .collect();
    let (result, args): (Vec<Value>, Vec<Value>) = given.into_iter().partition(|a| a["name"] == "returnValue");
    let pod = workload.get("k8s").unwrap_or(Json::null());
    let parent = count("/ancestors/0/host_pid").or_else(|| count("/ancestors/0/pid"));
    let flat = json!({
        "timestamp": instant(record.get("timestamp")?)?,
        "eventName": record.get("name")?,
        "processName": text(process, &["thread", "name"]),
        "executable": process.get("executable").unwrap_or(Json::null()),
        "processId": count("/pid"),
        "hostProcessId": count("/host_pid"),
        "threadId": count("/thread/tid"),
        "hostThreadId": count("/thread/host_tid"),
        "hostParentProcessId": parent,
        "userId": count("/real_user/id"),
        "container": {
            "id": text(container, &["id"]),
            "name": text(container, &["name"]),
            "image": text(container, &["image", "name"]),
            "imageDigest": container.pointer("/image/repo_digests/0").unwrap_or(Json::null()),
        },
        "kubernetes": {
            "podName": text(pod, &["pod", "name"]),
            "podNamespace": text(pod, &["namespace", "name"]),
            "podUID": text(pod, &["pod", "uid"]),
        },
        "metadata": {"Properties": {"Severity": record.pointer("/threat/severity").unwrap_or(Json::null())}},
        "returnValue": result.first().map_or(&Value::Null, |r| &r["value"]),
        "args": args,
    });
    Some(flat)
}

/// A number, which protobuf's JSON may have written as text and in an object of its own.
fn unwrapped(value: Json<'_>) -> Option<u64> {
    number(value.get("value").unwrap_or(value), &[])
}

/// Nanoseconds since the epoch: `2026-11-22T22:26:40.5Z`, or `{"seconds":"1795386400","nanos":500000000}`.
fn instant(time: Json<'_>) -> Option<u64> {
    match time.as_str() {
        Some(text) => parse_rfc3339(text),
        None => number(time, &["seconds"])?
            .checked_mul(1_000_000_000)?
            .checked_add(number(time, &["nanos"]).unwrap_or(0)),
    }
}

/// An argument: its value is the member that is named for its type. Numbers of 64 bits are written as text.
fn given(arg: Json<'_>) -> Value {
    let members = arg.as_object().into_iter().flatten();
    let typed = members.into_iter().find(|(name, _)| *name != "name");
    let value = match typed.map(|(name, value)| (name, value, value.as_str())) {
        Some((name, _, Some(text))) if name.contains("int64") || name == "pointer" => {
            text.parse::<i64>().map_or_else(|_| json!(text), |n| json!(n))
        }
        Some((_, value, _)) => json!(value.get("value").unwrap_or(value)),
        None => Value::Null,
    };
    json!({"name": text(arg, &["name"]), "value": value})
}

fn tell<'v>(record: Json<'v>) -> Result<Told<'v>, &'static str> {
    let mut fields = Fields::of(record);
    let told = who(record, &mut fields)?;
    let message = message(&told.kind, &mut fields);
    let properties = fields.get("metadata").and_then(|metadata| metadata.get("Properties"));
    Ok(Told {
        severity: match properties.and_then(|p| p.get("Severity")).filter(|s| !s.is_null()) {
            None => "".into(),
            Some(severity) => shown(severity),
        },
        message: message.into_bytes().into(),
        ..told
    })
}

/// When, who and where, which is all that a call needs. Asked in the order in which Tracee writes.
fn who<'v>(record: Json<'v>, fields: &mut Fields<'v>) -> Result<Told<'v>, &'static str> {
    let ts = fields.number("timestamp").ok_or("an event without a time")?;
    let [own_pid, own_tid, own_ppid] = ["processId", "threadId", "parentProcessId"].map(|name| fields.id(name));
    let [pid, tid, ppid] = ["hostProcessId", "hostThreadId", "hostParentProcessId"].map(|name| fields.id(name));
    // Of pids the host's: the others are those of the container's namespace.
    let of_host = |host: Option<u32>, own: Option<u32>| host.filter(|p| *p != 0).or(own);
    let (uid, name) = (fields.id("userId"), fields.bytes("processName"));
    let executable = fields.get("executable");
    let container = container(record, fields);
    let kind = fields.text("eventName");
    let exec = executed(kind, record);
    let is_exec = exec.is_some();
    let [path, argv] = exec.unwrap_or_default();
    let seen = of_host(pid, own_pid).map(|pid| Seen {
        pid,
        ppid: of_host(ppid, own_ppid),
        vpid: own_pid,
        uid,
        name,
        exe_path: path.or_else(|| bytes(executable?, &["path"])),
        exec_ts: is_exec.then_some(ts),
        argv,
        ..Seen::default()
    });
    Ok(Told {
        ts,
        kind: kind.into(),
        seen,
        tid: of_host(tid, own_tid),
        container,
        ..Told::default()
    })
}

/// The container, with what Kubernetes calls its pod.
fn container<'v>(record: Json<'v>, fields: &mut Fields<'v>) -> Option<SeenContainer<'v>> {
    let container = fields.get("container").unwrap_or(Json::null());
    // Versions before 0.13 have these members beside each other.
    let inside = |name: &'static str, before: &'static str| match text(container, &[name]) {
        "" => text(record, &[before]),
        told => told,
    };
    let id = inside("id", "containerId");
    let pod = fields
        .get("kubernetes")
        .filter(|_| !id.is_empty())
        .unwrap_or(Json::null());
    let pod = |name: &'static str| match text(pod, &[name]) {
        "" => text(record, &[name]),
        told => told,
    };
    (!id.is_empty()).then(|| SeenContainer {
        id,
        name: inside("name", "containerName"),
        image: inside("image", "containerImage").into(),
        image_digest: text(container, &["imageDigest"]),
        labels: pod_labels([pod("podName"), pod("podNamespace"), pod("podUID")]),
        ..SeenContainer::default()
    })
}

/// Program and arguments, of the event that tells of an exec.
fn executed<'v>(kind: &str, record: Json<'v>) -> Option<[Option<Cow<'v, [u8]>>; 2]> {
    if kind != "sched_process_exec" {
        return None;
    }
    let args = record.get("args").and_then(Json::as_array)?;
    let value = |name: &str| args.clone().find(|a| text(*a, &["name"]) == name)?.get("value");
    let argv = value("argv").and_then(Json::as_array);
    let argv = argv.map(|all| all.filter_map(Json::as_str).collect::<Vec<_>>().join("\0"));
    let path = value("pathname").and_then(Json::as_str).filter(|path| !path.is_empty());
    Some([
        path.map(|path| path.as_bytes().into()),
        argv.map(|argv| argv.into_bytes().into()),
    ])
}

/// The event as a call: `openat(pathname: /etc/shadow, flags: O_RDONLY) = 3`.
fn message(kind: &str, fields: &mut Fields<'_>) -> String {
    let mut message = String::with_capacity(USUAL_MESSAGE);
    message.push_str(kind);
    message.push('(');
    // The result stands before the arguments.
    let result = fields.get("returnValue").filter(|v| !v.is_null());
    let args = fields.get("args").and_then(Json::as_array).into_iter().flatten();
    for (at, arg) in args.enumerate() {
        message.push_str(if at > 0 { ", " } else { "" });
        message.push_str(text(arg, &["name"]));
        message.push_str(": ");
        message.push_str(&arg.get("value").map(shown).unwrap_or_default());
    }
    message.push(')');
    if let Some(result) = result {
        message.push_str(" = ");
        message.push_str(&result.to_string());
    }
    message
}

/// Room for most messages.
const USUAL_MESSAGE: usize = 128;

/// A text without its quotes; anything else as it is written.
fn shown(value: Json<'_>) -> Cow<'_, str> {
    value.as_str().map_or_else(|| value.to_string().into(), Cow::Borrowed)
}
