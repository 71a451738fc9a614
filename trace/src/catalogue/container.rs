//! Fields of the container, and of the Kubernetes pod as its labels tell: `container.*`, `k8s.*`.

use std::borrow::Cow;

use super::{ArgRule, Field, FieldArg, FieldType, Getter, Value, field};
use crate::block::Need;
use crate::block::decoded::ImageView;
use crate::container::{Container, Mount};
use FieldType::{Bool, Duration, List, Str, Timestamp};
use Getter::{Event, Process};

/// Falco's container id and name of what runs in none.
const HOST: &str = "host";

fn of<'a>(p: ImageView<'a>, get: impl FnOnce(&'a Container) -> Value<'a>) -> Value<'a> {
    p.container().map_or(Value::Absent, get)
}

fn text(s: &str) -> Value<'_> {
    Value::text(s.as_bytes())
}

fn or_host<'a>(p: ImageView<'a>, get: impl FnOnce(&'a Container) -> &'a str) -> Value<'a> {
    match p.container() {
        Some(c) => text(get(c)),
        None if p.entry.pid == 0 => Value::Absent,
        None => text(HOST),
    }
}

/// The parts of an image reference: repository, tag, digest (`registry:5000/name:tag@sha256:…`).
fn image(c: &Container) -> (&str, &str, &str) {
    let (name, digest) = c.image.split_once('@').unwrap_or((&c.image, ""));
    let last = name.rfind('/').map_or(0, |at| at + 1);
    match name[last..].find(':') {
        Some(colon) => (&name[..last + colon], &name[last + colon + 1..], digest),
        // Engines start the image of this tag where the name has none.
        None if digest.is_empty() && !name.is_empty() && !is_image_id(name) => (name, "latest", ""),
        None => (name, "", digest),
    }
}

/// Whether an image was named by (the beginning of) its id.
fn is_image_id(name: &str) -> bool {
    name.len() >= 12 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

fn digest(c: &Container) -> &str {
    if !c.image_digest.is_empty() {
        return c.image_digest.split_once('@').map_or(&c.image_digest, |(_, d)| d);
    }
    image(c).2
}

fn label<'a>(c: &'a Container, key: &str) -> Option<&'a str> {
    c.labels.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
}

fn labelled<'a>(p: ImageView<'a>, key: &str) -> Value<'a> {
    of(p, |c| label(c, key).map_or(Value::Absent, text))
}

fn labels(c: &Container) -> Value<'_> {
    let all: Vec<String> = c.labels.iter().map(|(k, v)| format!("{k}:{v}")).collect();
    Value::owned(all.join(", "))
}

/// The labels of the container; none outside containers.
pub(super) fn labels_of<'a>(p: ImageView<'a>) -> &'a [(String, String)] {
    p.container().map_or(&[], |c| &c.labels)
}

/// The mounts of the container; none outside containers.
pub(super) fn mounts_of<'a>(p: ImageView<'a>) -> &'a [Mount] {
    p.container().map_or(&[], |c| &c.mounts)
}

fn describe(m: &Mount) -> String {
    format!("{}:{}:{}:{}:{}", m.source, m.dest, m.mode, m.rw, m.propagation)
}

fn mounts(c: &Container) -> Value<'_> {
    let all: Vec<String> = c.mounts.iter().map(describe).collect();
    Value::owned(all.join(","))
}

/// `container.mount.X[n]` or `[path]`: by position, or by source or destination with wildcards at its end.
fn mount<'a>(
    p: ImageView<'a>,
    arg: &FieldArg,
    by: fn(&Mount) -> &str,
    get: fn(&'a Mount) -> Cow<'a, str>,
) -> Value<'a> {
    let Some(c) = p.container() else { return Value::Absent };
    let matches = |m: &&Mount, pattern: &str| match pattern.strip_suffix('*') {
        Some(prefix) => by(m).starts_with(prefix),
        None => by(m) == pattern,
    };
    let found = match arg {
        FieldArg::Index(n) => c.mounts.get(*n as usize),
        FieldArg::Key(key) => c.mounts.iter().find(|m| matches(m, key)),
        FieldArg::None => None,
    };
    found.map_or(Value::Absent, |m| Value::owned(get(m).into_owned().into_bytes()))
}

fn flag(v: Option<bool>) -> Value<'static> {
    v.map_or(Value::Absent, Value::Bool)
}

fn known(ts: u64) -> Value<'static> {
    if ts == 0 { Value::Absent } else { Value::Uint(ts) }
}

const POD: &str = "io.kubernetes.pod.name";
const NAMESPACE: &str = "io.kubernetes.pod.namespace";
const POD_UID: &str = "io.kubernetes.pod.uid";
const SANDBOX: &str = "io.kubernetes.sandbox.id";

pub(super) const FIELDS: &[Field] = &[
    field(
        "container.id",
        "container_id",
        Str,
        "First twelve digits of the container's id; `host` outside containers.",
        Process(|p, _| or_host(p, Container::short_id)),
    ),
    field(
        "container.full_id",
        "container_full_id",
        Str,
        "The container's whole id; `host` outside containers.",
        Process(|p, _| or_host(p, |c| &c.id)),
    ),
    field(
        "container.name",
        "container_name",
        Str,
        "The container's name; `host` outside containers.",
        Process(|p, _| or_host(p, |c| &c.name)),
    ),
    field(
        "container.type",
        "container_type",
        Str,
        "The engine: `docker`, `podman`, `containerd`, `cri-o`; `host` outside containers.",
        Process(|p, _| or_host(p, |c| &c.engine)),
    ),
    field(
        "container.image",
        "container_image",
        Str,
        "Image as it was named at creation.",
        Process(|p, _| of(p, |c| text(&c.image))),
    ),
    field(
        "container.image.id",
        "container_image_id",
        Str,
        "Image id.",
        Process(|p, _| of(p, |c| text(&c.image_id))),
    ),
    field(
        "container.image.repository",
        "container_image_repository",
        Str,
        "Image without tag and digest.",
        Process(|p, _| of(p, |c| text(image(c).0))),
    ),
    field(
        "container.image.tag",
        "container_image_tag",
        Str,
        "Tag of the image.",
        Process(|p, _| of(p, |c| text(image(c).1))),
    ),
    field(
        "container.image.digest",
        "container_image_digest",
        Str,
        "Repository digest of the image.",
        Process(|p, _| of(p, |c| text(digest(c)))),
    ),
    field(
        "container.privileged",
        "container_privileged",
        Bool,
        "Whether it runs privileged.",
        Process(|p, _| of(p, |c| flag(c.privileged))),
    ),
    field(
        "container.mounts",
        "container_mounts",
        Str,
        "All mounts, `source:dest:mode:rw:propagation` separated by commas.",
        Process(|p, _| of(p, mounts)),
    ),
    field(
        "container.mount",
        "container_mount",
        Str,
        "One mount by position or source path.",
        Process(|p, a| mount(p, a, |m| &m.source, |m| describe(m).into())),
    )
    .with(ArgRule::Required),
    field(
        "container.mount.source",
        "container_mount_source",
        Str,
        "Source of a mount by position or destination.",
        Process(|p, a| mount(p, a, |m| &m.dest, |m| m.source.as_str().into())),
    )
    .with(ArgRule::Required),
    field(
        "container.mount.dest",
        "container_mount_dest",
        Str,
        "Destination of a mount by position or source.",
        Process(|p, a| mount(p, a, |m| &m.source, |m| m.dest.as_str().into())),
    )
    .with(ArgRule::Required),
    field(
        "container.mount.mode",
        "container_mount_mode",
        Str,
        "Mode of a mount by position or source.",
        Process(|p, a| mount(p, a, |m| &m.source, |m| m.mode.as_str().into())),
    )
    .with(ArgRule::Required),
    field(
        "container.mount.rdwr",
        "container_mount_rdwr",
        Str,
        "`true` or `false`: whether a mount may be written, by position or source.",
        Process(|p, a| mount(p, a, |m| &m.source, |m| m.rw.to_string().into())),
    )
    .with(ArgRule::Required),
    field(
        "container.mount.propagation",
        "container_mount_propagation",
        Str,
        "Propagation of a mount by position or source.",
        Process(|p, a| mount(p, a, |m| &m.source, |m| m.propagation.as_str().into())),
    )
    .with(ArgRule::Required),
    field(
        "container.ip",
        "container_ip",
        Str,
        "Address on its first network.",
        Process(|p, _| of(p, |c| text(&c.ip))),
    ),
    field(
        "container.start_ts",
        "container_start_ts",
        Timestamp,
        "When it was started.",
        Process(|p, _| of(p, |c| known(c.started_ts))),
    ),
    field(
        "container.duration",
        "container_duration",
        Duration,
        "Time from the container's start to the event.",
        Event(|e, _| {
            let started = e.image().and_then(|p| p.container()).map_or(0, |c| c.started_ts);
            let since = e.ts().checked_sub(started).filter(|_| started != 0);
            let since = since.and_then(|ns| i64::try_from(ns).ok());
            since.map_or(Value::Absent, Value::Int)
        }),
    )
    .reading(Need(Need::CONTEXT.0 | Need::IMAGES.0 | Need::TS.0)),
    field(
        "container.created_ts",
        "container_created_ts",
        Timestamp,
        "When it was created.",
        Process(|p, _| of(p, |c| known(c.created_ts))),
    ),
    field(
        "container.read_only",
        "container_read_only",
        Bool,
        "Whether its root file system is read-only.",
        Process(|p, _| of(p, |c| flag(c.read_only))),
    ),
    field(
        "container.cap_add",
        "container_cap_add",
        List,
        "Capabilities added at creation.",
        Process(|p, _| {
            of(p, |c| {
                Value::List(c.cap_add.iter().map(|s| s.as_bytes().into()).collect())
            })
        }),
    ),
    field(
        "container.host_pid",
        "container_host_pid",
        Bool,
        "Whether it shares the host's pid namespace.",
        Process(|p, _| of(p, |c| flag(c.host_namespaces[0]))),
    ),
    field(
        "container.host_network",
        "container_host_network",
        Bool,
        "Whether it shares the host's network namespace.",
        Process(|p, _| of(p, |c| flag(c.host_namespaces[1]))),
    ),
    field(
        "container.host_ipc",
        "container_host_ipc",
        Bool,
        "Whether it shares the host's ipc namespace.",
        Process(|p, _| of(p, |c| flag(c.host_namespaces[2]))),
    ),
    field(
        "container.labels",
        "container_labels",
        Str,
        "All labels, `key:value` separated by commas.",
        Process(|p, _| of(p, labels)),
    ),
    field(
        "container.label",
        "container_label",
        Str,
        "One label by key.",
        Process(|p, a| match a {
            FieldArg::Key(key) => labelled(p, key),
            _ => Value::Absent,
        }),
    )
    .with(ArgRule::Required),
    field(
        "k8s.pod.name",
        "k8s_pod_name",
        Str,
        "Name of the pod, from the container's labels.",
        Process(|p, _| labelled(p, POD)),
    ),
    field(
        "k8s.ns.name",
        "k8s_ns_name",
        Str,
        "Namespace of the pod, from the container's labels.",
        Process(|p, _| labelled(p, NAMESPACE)),
    ),
    field(
        "k8s.pod.uid",
        "k8s_pod_uid",
        Str,
        "Uid of the pod, from the container's labels.",
        Process(|p, _| labelled(p, POD_UID)),
    ),
    field(
        "k8s.pod.id",
        "k8s_pod_id",
        Str,
        "The same as `k8s.pod.uid`.",
        Process(|p, _| labelled(p, POD_UID)),
    )
    .no_column(),
    field(
        "k8s.pod.full_sandbox_id",
        "k8s_pod_full_sandbox_id",
        Str,
        "Id of the pod's sandbox container.",
        Process(|p, _| labelled(p, SANDBOX)),
    )
    .no_column(),
    field(
        "k8s.pod.sandbox_id",
        "k8s_pod_sandbox_id",
        Str,
        "First twelve digits of the id of the pod's sandbox container.",
        Process(|p, _| {
            of(p, |c| {
                label(c, SANDBOX).map_or(Value::Absent, |id| text(id.get(..12).unwrap_or(id)))
            })
        }),
    )
    .no_column(),
    field(
        "k8s.pod.label",
        "k8s_pod_label",
        Str,
        "One label of the container by key, where the engine copies the pod's.",
        Process(|p, a| match a {
            FieldArg::Key(key) => labelled(p, key),
            _ => Value::Absent,
        }),
    )
    .with(ArgRule::Required),
    field(
        "k8s.pod.labels",
        "k8s_pod_labels",
        Str,
        "All labels of the container, where the engine copies the pod's.",
        Process(|p, _| of(p, labels)),
    )
    .no_column(),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_image_names() {
        for (name, parts) in [
            ("busybox", ("busybox", "latest", "")),
            ("registry:5000/shop/web:1.2", ("registry:5000/shop/web", "1.2", "")),
            ("registry:5000/shop/web", ("registry:5000/shop/web", "latest", "")),
            ("web@sha256:77af", ("web", "", "sha256:77af")),
            ("web:1@sha256:77af", ("web", "1", "sha256:77af")),
            ("1cd4b12e5d2f", ("1cd4b12e5d2f", "", "")),
            ("", ("", "", "")),
        ] {
            let container = Container {
                image: name.to_owned(),
                ..Container::default()
            };
            assert_eq!(image(&container), parts, "{name}");
        }
    }
}
