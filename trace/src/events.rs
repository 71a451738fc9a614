//! Every event type that ctrace records. Numbers, names and the meaning of parameters never change; parameters are only
//! added at the end (an older file carries its own schema).

use crate::event::{EventType, Source};
use crate::schema::{EventSpec, FdUse, NameSet, Param, ParamKind};
use crate::syscalls;

/// All event types: the syscall table, then the others.
pub(crate) fn declared() -> Vec<EventSpec> {
    let mut specs = syscalls::declared();
    specs.extend(others());
    specs
}

fn others() -> Vec<EventSpec> {
    use ParamKind::{Addr, Int, Pid, Signal, Str, Uint};
    vec![
        other(
            EventType::PROCEXIT,
            "procexit",
            Source::Syscall,
            &[
                ("status", Int),
                ("ret", Int),
                ("sig", Signal),
                ("core", Int),
                ("threads", Uint),
            ],
        ),
        // `slot` is where among the ring's own files a new one goes, from 1; 0 where it becomes a descriptor.
        EventSpec {
            fd: FdUse::Arg(0),
            has_ret: true,
            ..other(
                EventType::IO_URING_REQ,
                "io_uring_req",
                Source::Syscall,
                &[
                    ("opcode", ParamKind::Enum(NameSet::RingRequest)),
                    ("fd", ParamKind::Fd),
                    ("flags", ParamKind::Flags(NameSet::RingRequestFlags)),
                    ("user_data", Uint),
                    ("slot", Uint),
                ],
            )
        },
        other(
            EventType::SIGNALDELIVER,
            "signaldeliver",
            Source::Syscall,
            &[("spid", Pid), ("dpid", Pid), ("sig", Signal)],
        ),
        // The thread that goes on, and what the one that stops had used so far: page faults, sizes in KiB.
        bulk(
            EventType::SWITCH,
            "switch",
            Source::Syscall,
            &[
                ("next", Pid),
                ("pgft_maj", Uint),
                ("pgft_min", Uint),
                ("vm_size", Uint),
                ("vm_rss", Uint),
                ("vm_swap", Uint),
            ],
        ),
        bulk(
            EventType::PAGE_FAULT,
            "page_fault",
            Source::Syscall,
            &[("addr", Addr), ("ip", Addr), ("error", Uint)],
        ),
        other(EventType::CONTAINER, "container", Source::Syscall, &[("json", Str)]),
        // What is not known is left out; `reason` says why a digest is, or what it is of where that needs saying. `copy` is
        // the name of the copy within the case, `copy_reason` why one that was asked for is missing.
        other(
            EventType::ARTIFACT,
            "artifact",
            Source::Syscall,
            &[
                ("kind", Str),
                ("path", Str),
                ("dev", Uint),
                ("ino", Uint),
                ("ctime", Uint),
                ("mtime", Uint),
                ("size", ParamKind::Size),
                ("sha256", Str),
                ("reason", Str),
                ("copy", Str),
                ("copy_reason", Str),
                ("id", Uint),
            ],
        ),
        // `raw` is the engine's JSON, whole: the fields beside it are what rules and SQL ask for most.
        other(
            EventType::DOCKER,
            "docker",
            Source::Docker,
            &[
                ("type", Str),
                ("action", Str),
                ("id", Str),
                ("name", Str),
                ("image", Str),
                ("exit_code", Int),
                ("raw", Str),
            ],
        ),
        // `message` is without the line's end; `partial` is 1 where the line goes on in the next event of the stream.
        // `attrs` is a JSON object of what the engine was told to write with each line, and of what else it wrote.
        other(
            EventType::CONTAINER_LOG,
            "container_log",
            Source::ContainerLog,
            &[("stream", Str), ("message", Str), ("partial", Uint), ("attrs", Str)],
        ),
        // `raw` holds all records of the serial, one a line, as the kernel (or auditd) wrote them.
        other(
            EventType::AUDIT,
            "audit",
            Source::Audit,
            &[
                ("serial", Uint),
                ("types", Str),
                ("key", Str),
                ("syscall", Str),
                ("success", Str),
                ("pid", Int),
                ("auid", Int),
                ("exe", Str),
                ("raw", Str),
            ],
        ),
        // `raw` is the API server's JSON, whole: the texts behind it are what every rule asks for.
        other(
            EventType::K8S_AUDIT,
            "k8s_audit",
            Source::K8sAudit,
            &[
                ("raw", Str),
                ("audit_id", Str),
                ("stage", Str),
                ("verb", Str),
                ("user", Str),
                ("resource", Str),
                ("namespace", Str),
                ("name", Str),
                ("code", Str),
            ],
        ),
        // `type` and `severity` are the format's own words: a rule and its priority, a program and its syslog severity.
        // `raw` is the record, whole.
        other(
            EventType::LOG,
            "log",
            Source::Log,
            &[
                ("format", Str),
                ("type", Str),
                ("severity", Str),
                ("message", Str),
                ("raw", Str),
            ],
        ),
        other(
            EventType::CAPTURE_START,
            "capture_start",
            Source::Capture,
            &[("sources", Str)],
        ),
        other(
            EventType::CAPTURE_STOP,
            "capture_stop",
            Source::Capture,
            &[("reason", Str)],
        ),
        // `cpu` is -1 where the loss is not of one CPU; `from` and `to` bound when it happened, UTC nanoseconds; `count` is 0
        // where nobody can say; `reason` is the option that asked for it, or why events could not be written. Of the class
        // `forgotten` no events are lost: `source` and `count` say what was forgotten, and of how many.
        other(
            EventType::GAP,
            "gap",
            Source::Capture,
            &[
                ("source", Str),
                ("class", ParamKind::Enum(NameSet::GapClass)),
                ("count", Uint),
                ("cpu", Int),
                ("from", Uint),
                ("to", Uint),
                ("reason", Str),
            ],
        ),
        other(
            EventType::CLOCK_STEP,
            "clock_step",
            Source::Capture,
            &[("delta_ns", Int)],
        ),
        other(EventType::SUSPEND, "suspend", Source::Capture, &[("slept_ns", Uint)]),
        other(
            EventType::SOURCE_LOST,
            "source_lost",
            Source::Capture,
            &[("source", Str), ("reason", Str)],
        ),
        other(
            EventType::SOURCE_FOUND,
            "source_found",
            Source::Capture,
            &[("source", Str), ("detail", Str)],
        ),
        // `count` events stand behind newer ones, each with its true time, at most `delay_ns` behind; the first and the
        // last of them happened at `from` and `to`, UTC nanoseconds.
        other(
            EventType::LATE,
            "late",
            Source::Capture,
            &[
                ("source", Str),
                ("count", Uint),
                ("delay_ns", Uint),
                ("from", Uint),
                ("to", Uint),
            ],
        ),
        // `sha256` is of the file as it lay on disk, `offset` (also below) of what it decompresses to.
        other(
            EventType::IMPORTED,
            "imported",
            Source::Capture,
            &[
                ("file", Str),
                ("format", Str),
                ("bytes", Uint),
                ("sha256", Str),
                ("events", Uint),
                ("unknown", Uint),
                ("bad", Uint),
                ("cut_offset", Uint),
                ("cut_reason", Str),
            ],
        ),
        other(
            EventType::IMPORT_RAW,
            "import_raw",
            Source::Capture,
            &[
                ("format", Str),
                ("offset", Uint),
                ("line", Uint),
                ("reason", Str),
                ("raw", Str),
            ],
        ),
    ]
}

/// One that rules do not look at.
fn bulk(id: EventType, name: &str, source: Source, params: &[(&str, ParamKind)]) -> EventSpec {
    EventSpec {
        hot: false,
        ..other(id, name, source, params)
    }
}

fn other(id: EventType, name: &str, source: Source, params: &[(&str, ParamKind)]) -> EventSpec {
    let params = params
        .iter()
        .map(|(name, kind)| Param {
            name: (*name).to_owned(),
            kind: *kind,
            arg: None,
        })
        .collect();
    EventSpec {
        id,
        name: name.to_owned(),
        source,
        hot: true,
        fd: FdUse::None,
        has_ret: false,
        params,
    }
}
