//! Fields of Kubernetes audit events, named as Falco's plugin `k8saudit` names them: `ka.*`.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::event::str_arg;
use super::{ArgRule, Field, FieldArg, FieldType, Getter, Value, field};
use crate::block::Need;
use crate::block::decoded::EventView;
use crate::event::{Arg, EventType};
use FieldType::{List, Str};
use Getter::Event;

pub(super) const ARGS: Need = Need::ARGS_HOT;

/// One of the parameters that the event has beside its JSON.
fn arg<'a>(e: EventView<'a>, name: &str) -> Value<'a> {
    match e.kind() {
        Some(EventType::K8S_AUDIT) => str_arg(e, name),
        _ => Value::Absent,
    }
}

pub(super) fn json(e: EventView<'_>) -> Option<Json> {
    match (e.kind(), e.arg_named("raw")) {
        (Some(EventType::K8S_AUDIT), Arg::Str(raw)) => serde_json::from_slice(raw).ok(),
        _ => None,
    }
}

pub(super) fn walk<'j>(json: &'j Json, path: &[&str]) -> Option<&'j Json> {
    path.iter().try_fold(json, |at, key| at.get(key))
}

/// Texts as they are, everything else as JSON.
pub(super) fn show(json: &Json) -> Cow<'static, [u8]> {
    match json {
        Json::String(s) => Cow::Owned(s.clone().into_bytes()),
        other => Cow::Owned(other.to_string().into_bytes()),
    }
}

pub(super) fn text<'a>(e: EventView<'a>, path: &[&str]) -> Value<'a> {
    let found = json(e);
    let found = found.as_ref().and_then(|j| walk(j, path));
    found.map_or(Value::Absent, |j| Value::Str(show(j)))
}

pub(super) fn list<'a>(items: Vec<Cow<'static, [u8]>>) -> Value<'a> {
    if items.is_empty() {
        Value::Absent
    } else {
        Value::List(items)
    }
}

/// The elements of an array, or the one that the index names.
pub(super) fn elements<'j>(json: &'j Json, path: &[&str], index: &FieldArg) -> &'j [Json] {
    let all = walk(json, path).and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    match index {
        FieldArg::Index(n) => all.get(*n as usize).map_or(&[], std::slice::from_ref),
        _ => all,
    }
}

fn array<'a>(e: EventView<'a>, path: &[&str], index: &FieldArg) -> Value<'a> {
    let Some(json) = json(e) else { return Value::Absent };
    list(elements(&json, path, index).iter().map(show).collect())
}

/// What every element of an array has there; of an array there, its elements.
pub(super) fn of_each<'a>(e: EventView<'a>, path: &[&str], inner: &[&str], index: &FieldArg) -> Value<'a> {
    let Some(json) = json(e) else { return Value::Absent };
    let found = elements(&json, path, index).iter().filter_map(|i| walk(i, inner));
    list(
        found
            .flat_map(|f| f.as_array().map_or(std::slice::from_ref(f), Vec::as_slice))
            .map(show)
            .collect(),
    )
}

const CONTAINERS: [&str; 3] = ["requestObject", "spec", "containers"];
const VOLUMES: [&str; 3] = ["requestObject", "spec", "volumes"];
const RULES: [&str; 2] = ["requestObject", "rules"];

/// The image without tag and digest, cut where the plugin cuts it: at the first colon.
fn repository(image: &[u8]) -> Cow<'static, [u8]> {
    let end = image
        .iter()
        .position(|b| matches!(b, b':' | b'@'))
        .unwrap_or(image.len());
    Cow::Owned(image.get(..end).unwrap_or(image).to_vec())
}

fn repositories<'a>(e: EventView<'a>, index: &FieldArg) -> Value<'a> {
    repositories_in(e, &CONTAINERS, index)
}

/// The images of a list of containers, without tag and digest.
pub(super) fn repositories_in<'a>(e: EventView<'a>, containers: &[&str], index: &FieldArg) -> Value<'a> {
    match of_each(e, containers, &["image"], index) {
        Value::List(images) => list(images.iter().map(|i| repository(i)).collect()),
        _ => Value::Absent,
    }
}

fn first(value: Value<'_>) -> Value<'_> {
    match value {
        Value::List(mut items) if !items.is_empty() => Value::Str(items.swap_remove(0)),
        _ => Value::Absent,
    }
}

/// Host ports, or the container's own where none is named: those are the host's in its network.
fn host_ports<'a>(e: EventView<'a>, index: &FieldArg) -> Value<'a> {
    host_ports_in(e, &CONTAINERS, index)
}

/// The same of a list of containers.
pub(super) fn host_ports_in<'a>(e: EventView<'a>, containers: &[&str], index: &FieldArg) -> Value<'a> {
    let Some(json) = json(e) else { return Value::Absent };
    let ports = elements(&json, containers, index)
        .iter()
        .flat_map(|c| elements(c, &["ports"], &FieldArg::None));
    list(
        ports
            .filter_map(|p| p.get("hostPort").or_else(|| p.get("containerPort")))
            .map(show)
            .collect(),
    )
}

fn any_privileged(e: EventView<'_>) -> Value<'_> {
    match of_each(e, &CONTAINERS, &["securityContext", "privileged"], &FieldArg::None) {
        Value::List(all) => Value::owned(all.iter().any(|p| **p == *b"true").to_string()),
        _ if json(e).is_some_and(|j| walk(&j, &CONTAINERS).is_some()) => Value::owned("false"),
        _ => Value::Absent,
    }
}

/// The user or group that every container begins with: its own, the pod's, or 0.
fn effective<'a>(e: EventView<'a>, key: &str, index: &FieldArg) -> Value<'a> {
    effective_in(e, &CONTAINERS, key, index)
}

/// The same of a list of containers.
pub(super) fn effective_in<'a>(e: EventView<'a>, containers: &[&str], key: &str, index: &FieldArg) -> Value<'a> {
    let Some(json) = json(e) else { return Value::Absent };
    let of_pod = walk(&json, &["requestObject", "spec", "securityContext", key]);
    let id = |c: &Json| {
        let own = walk(c, &["securityContext", key]).or(of_pod);
        own.map_or(Cow::Borrowed(&b"0"[..]), show)
    };
    list(elements(&json, containers, index).iter().map(id).collect())
}

fn volume_types<'a>(e: EventView<'a>, index: &FieldArg) -> Value<'a> {
    let Some(json) = json(e) else { return Value::Absent };
    let volumes = elements(&json, &VOLUMES, index).iter().filter_map(Json::as_object);
    let keys = volumes.flat_map(|v| v.keys().filter(|k| *k != "name"));
    list(keys.map(|k| Cow::Owned(k.clone().into_bytes())).collect())
}

fn uses_host_path<'a>(e: EventView<'a>, arg: &FieldArg) -> Value<'a> {
    let (FieldArg::Key(wanted), Value::List(paths)) =
        (arg, of_each(e, &VOLUMES, &["hostPath", "path"], &FieldArg::None))
    else {
        return Value::Absent;
    };
    let found = match wanted.strip_suffix('*') {
        Some(prefix) => paths.iter().any(|p| p.starts_with(prefix.as_bytes())),
        None => paths.iter().any(|p| **p == *wanted.as_bytes()),
    };
    Value::owned(found.to_string())
}

fn uri_param<'a>(e: EventView<'a>, arg: &FieldArg) -> Value<'a> {
    let (FieldArg::Key(key), Value::Str(uri)) = (arg, text(e, &["requestURI"])) else {
        return Value::Absent;
    };
    let uri = String::from_utf8_lossy(&uri);
    let query = uri.split_once('?').map_or("", |(_, q)| q);
    let found = query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (unescape(name) == key.as_bytes()).then(|| unescape(value))
    });
    found.map_or(Value::Absent, Value::owned)
}

/// Undoes the escapes of a query (`%2F`, `+`).
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|h| std::str::from_utf8(h).ok());
        let coded = hex
            .filter(|_| *byte == b'%')
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        rest = if coded.is_some() {
            after.get(2..).unwrap_or_default()
        } else {
            after
        };
        out.push(coded.unwrap_or(if *byte == b'+' { b' ' } else { *byte }));
    }
    out
}

macro_rules! told {
    ($name:literal, $column:literal, $arg:literal, $doc:literal) => {
        field($name, $column, Str, $doc, Event(|e, _| arg(e, $arg))).reading(ARGS)
    };
}

macro_rules! text {
    ($name:literal, $column:literal, $path:expr, $doc:literal) => {
        field($name, $column, Str, $doc, Event(|e, _| text(e, &$path))).reading(ARGS)
    };
}

macro_rules! texts {
    ($name:literal, $column:literal, $get:expr, $doc:literal) => {
        field($name, $column, List, $doc, Event($get))
            .with(ArgRule::OptionalIndex)
            .reading(ARGS)
    };
}

pub(super) const FIELDS: &[Field] = &[
    told!(
        "ka.auditid",
        "ka_auditid",
        "audit_id",
        "Id that all stages of a request share."
    ),
    told!(
        "ka.stage",
        "ka_stage",
        "stage",
        "`RequestReceived`, `ResponseStarted`, `ResponseComplete` or `Panic`."
    ),
    text!(
        "ka.auth.decision",
        "ka_auth_decision",
        ["annotations", "authorization.k8s.io/decision"],
        "`allow` or `forbid`."
    ),
    text!(
        "ka.auth.reason",
        "ka_auth_reason",
        ["annotations", "authorization.k8s.io/reason"],
        "Why it was decided so."
    ),
    told!("ka.user.name", "ka_user_name", "user", "Who made the request."),
    texts!(
        "ka.user.groups",
        "ka_user_groups",
        |e, a| array(e, &["user", "groups"], a),
        "The groups of who made the request."
    ),
    text!(
        "ka.impuser.name",
        "ka_impuser_name",
        ["impersonatedUser", "username"],
        "The user that was impersonated."
    ),
    told!(
        "ka.verb",
        "ka_verb",
        "verb",
        "What was asked for: `get`, `list`, `create`, `delete` and others."
    ),
    text!("ka.uri", "ka_uri", ["requestURI"], "The URI as the client sent it."),
    field(
        "ka.uri.param",
        "ka_uri_param",
        Str,
        "One parameter of the URI by name.",
        Event(uri_param),
    )
    .with(ArgRule::Required)
    .reading(ARGS),
    told!("ka.target.name", "ka_target_name", "name", "Name of the object."),
    told!(
        "ka.target.namespace",
        "ka_target_namespace",
        "namespace",
        "Namespace of the object."
    ),
    told!(
        "ka.target.resource",
        "ka_target_resource",
        "resource",
        "Kind of the object: `pods`, `secrets` and others."
    ),
    text!(
        "ka.target.subresource",
        "ka_target_subresource",
        ["objectRef", "subresource"],
        "Part of the object: `exec`, `attach`, `log` and others."
    ),
    texts!(
        "ka.req.binding.subjects",
        "ka_req_binding_subjects",
        |e, a| array(e, &["requestObject", "subjects"], a),
        "Whom a role binding names, as JSON."
    ),
    text!(
        "ka.req.binding.role",
        "ka_req_binding_role",
        ["requestObject", "roleRef", "name"],
        "The role that a role binding grants."
    ),
    text!(
        "ka.req.configmap.name",
        "ka_req_configmap_name",
        ["objectRef", "name"],
        "Name of the config map."
    )
    .no_column(),
    text!(
        "ka.req.configmap.obj",
        "ka_req_configmap_obj",
        ["requestObject", "data"],
        "Contents of the config map, as JSON."
    ),
    texts!(
        "ka.req.pod.containers.image",
        "ka_req_pod_containers_image",
        |e, a| of_each(e, &CONTAINERS, &["image"], a),
        "Images of the pod's containers."
    ),
    field(
        "ka.req.container.image",
        "ka_req_container_image",
        Str,
        "Image of the first container.",
        Event(|e, _| first(of_each(e, &CONTAINERS, &["image"], &FieldArg::Index(0)))),
    )
    .reading(ARGS)
    .no_column(),
    texts!(
        "ka.req.pod.containers.image.repository",
        "ka_req_pod_containers_image_repository",
        repositories,
        "Images of the pod's containers without tag and digest."
    ),
    field(
        "ka.req.container.image.repository",
        "ka_req_container_image_repository",
        Str,
        "Image of the first container without tag and digest.",
        Event(|e, _| first(repositories(e, &FieldArg::Index(0)))),
    )
    .reading(ARGS)
    .no_column(),
    text!(
        "ka.req.pod.host_ipc",
        "ka_req_pod_host_ipc",
        ["requestObject", "spec", "hostIPC"],
        "Whether the pod shares the host's ipc namespace."
    ),
    text!(
        "ka.req.pod.host_network",
        "ka_req_pod_host_network",
        ["requestObject", "spec", "hostNetwork"],
        "Whether the pod shares the host's network."
    ),
    text!(
        "ka.req.container.host_network",
        "ka_req_container_host_network",
        ["requestObject", "spec", "hostNetwork"],
        "The same as `ka.req.pod.host_network`."
    )
    .no_column(),
    text!(
        "ka.req.pod.host_pid",
        "ka_req_pod_host_pid",
        ["requestObject", "spec", "hostPID"],
        "Whether the pod shares the host's pid namespace."
    ),
    texts!(
        "ka.req.pod.containers.host_port",
        "ka_req_pod_containers_host_port",
        host_ports,
        "Ports of the pod's containers on the host."
    ),
    texts!(
        "ka.req.pod.containers.privileged",
        "ka_req_pod_containers_privileged",
        |e, a| of_each(e, &CONTAINERS, &["securityContext", "privileged"], a),
        "Whether the pod's containers are privileged."
    ),
    field(
        "ka.req.container.privileged",
        "ka_req_container_privileged",
        Str,
        "Whether any container is privileged.",
        Event(|e, _| any_privileged(e)),
    )
    .reading(ARGS)
    .no_column(),
    texts!(
        "ka.req.pod.containers.allow_privilege_escalation",
        "ka_req_pod_containers_allow_privilege_escalation",
        |e, a| of_each(e, &CONTAINERS, &["securityContext", "allowPrivilegeEscalation"], a),
        "Whether the pod's containers may gain privileges."
    ),
    texts!(
        "ka.req.pod.containers.read_only_fs",
        "ka_req_pod_containers_read_only_fs",
        |e, a| of_each(e, &CONTAINERS, &["securityContext", "readOnlyRootFilesystem"], a),
        "Whether the containers' root file systems are read-only."
    ),
    text!(
        "ka.req.pod.run_as_user",
        "ka_req_pod_run_as_user",
        ["requestObject", "spec", "securityContext", "runAsUser"],
        "User of the pod."
    ),
    texts!(
        "ka.req.pod.containers.run_as_user",
        "ka_req_pod_containers_run_as_user",
        |e, a| of_each(e, &CONTAINERS, &["securityContext", "runAsUser"], a),
        "Users of the containers, where they have their own."
    ),
    texts!(
        "ka.req.pod.containers.eff_run_as_user",
        "ka_req_pod_containers_eff_run_as_user",
        |e, a| effective(e, "runAsUser", a),
        "User that each container begins with; 0 where none is named."
    ),
    text!(
        "ka.req.pod.run_as_group",
        "ka_req_pod_run_as_group",
        ["requestObject", "spec", "securityContext", "runAsGroup"],
        "Group of the pod."
    ),
    texts!(
        "ka.req.pod.containers.run_as_group",
        "ka_req_pod_containers_run_as_group",
        |e, a| of_each(e, &CONTAINERS, &["securityContext", "runAsGroup"], a),
        "Groups of the containers, where they have their own."
    ),
    texts!(
        "ka.req.pod.containers.eff_run_as_group",
        "ka_req_pod_containers_eff_run_as_group",
        |e, a| effective(e, "runAsGroup", a),
        "Group that each container begins with; 0 where none is named."
    ),
    texts!(
        "ka.req.pod.containers.proc_mount",
        "ka_req_pod_containers_proc_mount",
        |e, a| of_each(e, &CONTAINERS, &["securityContext", "procMount"], a),
        "Kinds of the containers' /proc."
    ),
    texts!(
        "ka.req.role.rules",
        "ka_req_role_rules",
        |e, a| array(e, &RULES, a),
        "The rules of a role, as JSON."
    ),
    texts!(
        "ka.req.role.rules.apiGroups",
        "ka_req_role_rules_api_groups",
        |e, a| of_each(e, &RULES, &["apiGroups"], a),
        "API groups that a role's rules name."
    ),
    texts!(
        "ka.req.role.rules.nonResourceURLs",
        "ka_req_role_rules_non_resource_urls",
        |e, a| of_each(e, &RULES, &["nonResourceURLs"], a),
        "URLs that a role's rules name."
    ),
    texts!(
        "ka.req.role.rules.verbs",
        "ka_req_role_rules_verbs",
        |e, a| of_each(e, &RULES, &["verbs"], a),
        "Verbs that a role's rules allow."
    ),
    texts!(
        "ka.req.role.rules.resources",
        "ka_req_role_rules_resources",
        |e, a| of_each(e, &RULES, &["resources"], a),
        "Kinds of objects that a role's rules name."
    ),
    text!(
        "ka.req.pod.fs_group",
        "ka_req_pod_fs_group",
        ["requestObject", "spec", "securityContext", "fsGroup"],
        "Group of the pod's volumes."
    ),
    texts!(
        "ka.req.pod.supplemental_groups",
        "ka_req_pod_supplemental_groups",
        |e, a| array(
            e,
            &["requestObject", "spec", "securityContext", "supplementalGroups"],
            a
        ),
        "Further groups of the pod."
    ),
    texts!(
        "ka.req.pod.containers.add_capabilities",
        "ka_req_pod_containers_add_capabilities",
        |e, a| of_each(e, &CONTAINERS, &["securityContext", "capabilities", "add"], a),
        "Capabilities that the containers get in addition."
    ),
    text!(
        "ka.req.service.type",
        "ka_req_service_type",
        ["requestObject", "spec", "type"],
        "Type of the service."
    ),
    texts!(
        "ka.req.service.ports",
        "ka_req_service_ports",
        |e, a| array(e, &["requestObject", "spec", "ports"], a),
        "Ports of the service, as JSON."
    ),
    texts!(
        "ka.req.pod.volumes.hostpath",
        "ka_req_pod_volumes_hostpath",
        |e, a| of_each(e, &VOLUMES, &["hostPath", "path"], a),
        "Paths of the host that are mounted."
    ),
    field(
        "ka.req.volume.hostpath",
        "ka_req_volume_hostpath",
        Str,
        "Whether a path of the host is mounted; `*` at the end of the path stands for anything.",
        Event(uses_host_path),
    )
    .with(ArgRule::Required)
    .reading(ARGS),
    texts!(
        "ka.req.pod.volumes.flexvolume_driver",
        "ka_req_pod_volumes_flexvolume_driver",
        |e, a| of_each(e, &VOLUMES, &["flexVolume", "driver"], a),
        "Drivers of the pod's flex volumes."
    ),
    texts!(
        "ka.req.pod.volumes.volume_type",
        "ka_req_pod_volumes_volume_type",
        volume_types,
        "Types of the pod's volumes."
    ),
    text!(
        "ka.resp.name",
        "ka_resp_name",
        ["responseObject", "metadata", "name"],
        "Name of the object that was answered with."
    ),
    told!(
        "ka.response.code",
        "ka_response_code",
        "code",
        "HTTP status of the answer."
    ),
    text!(
        "ka.response.reason",
        "ka_response_reason",
        ["responseStatus", "reason"],
        "Why a request failed."
    ),
    text!("ka.useragent", "ka_useragent", ["userAgent"], "The client program."),
    texts!(
        "ka.sourceips",
        "ka_sourceips",
        |e, a| array(e, &["sourceIPs"], a),
        "Addresses of the client and of proxies."
    ),
    field(
        "ka.raw",
        "ka_raw",
        Str,
        "The event's JSON, whole.",
        Event(|e, _| arg(e, "raw")),
    )
    .reading(ARGS),
];
