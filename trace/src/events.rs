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
    use ParamKind::{Int, Signal, Str, Uint};
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
        other(
            EventType::CONTAINER_LOG,
            "container_log",
            Source::ContainerLog,
            &[("stream", Str), ("message", Str)],
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
        other(EventType::K8S_AUDIT, "k8s_audit", Source::K8sAudit, &[("raw", Str)]),
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
        // `cpu` is -1 where the loss is not of one CPU; `from` and `to` bound when it happened, UTC nanoseconds.
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
            ],
        ),
        other(
            EventType::CLOCK_STEP,
            "clock_step",
            Source::Capture,
            &[("delta_ns", Int)],
        ),
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
    ]
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
