//! Fields of the other containers of a pod, and further ones of the plugin `k8saudit` that need no column: their text is in
//! `ka.raw`.

use super::k8s_audit::{
    ARGS, effective_in, elements, host_ports_in, json, list, of_each, repositories_in, show, text, walk,
};
use super::{ArgRule, Field, FieldArg, FieldType, Getter, Value, field};
use crate::block::decoded::EventView;
use FieldType::{List, Str};
use Getter::Event;

const CONTAINERS: [&str; 3] = ["requestObject", "spec", "containers"];
const INIT: [&str; 3] = ["requestObject", "spec", "initContainers"];
const EPHEMERAL: [&str; 3] = ["requestObject", "spec", "ephemeralContainers"];

/// What each container has there, a list of words as one text.
fn words<'a>(e: EventView<'a>, containers: &[&str], key: &str, index: &FieldArg) -> Value<'a> {
    let Some(json) = json(e) else { return Value::Absent };
    let found = elements(&json, containers, index)
        .iter()
        .filter_map(|c| c.get(key)?.as_array());
    let joined = found.map(|words| {
        let words: Vec<_> = words.iter().map(show).collect();
        words.join(&b' ').into()
    });
    list(joined.collect())
}

/// The names of those whom a role binding names, of one kind; with `space` after their namespace.
fn subjects<'a>(e: EventView<'a>, kind: &str, space: bool) -> Value<'a> {
    let Some(json) = json(e) else { return Value::Absent };
    let all = elements(&json, &["requestObject", "subjects"], &FieldArg::None).iter();
    let names = all
        .filter(|s| s.get("kind").and_then(|k| k.as_str()) == Some(kind))
        .filter_map(|s| {
            let name = show(s.get("name")?);
            if !space {
                return Some(name);
            }
            let namespace = show(s.get("namespace")?);
            Some([namespace.as_ref(), name.as_ref()].join(&b':').into())
        });
    list(names.collect())
}

/// Name of a pod that was asked for itself.
fn pod_name(e: EventView<'_>) -> Value<'_> {
    let of_pods = json(e).is_some_and(|j| {
        let part = |key| {
            walk(&j, &["objectRef", key])
                .and_then(|v| v.as_str())
                .unwrap_or_default()
        };
        part("resource") == "pods" && part("subresource").is_empty()
    });
    match of_pods {
        true => text(e, &["responseObject", "metadata", "name"]),
        false => Value::Absent,
    }
}

macro_rules! hidden {
    ($name:expr, $ty:expr, $rule:expr, $doc:literal, $get:expr) => {
        field($name, "", $ty, $doc, Event($get))
            .with($rule)
            .reading(ARGS)
            .no_column()
    };
}

macro_rules! texts {
    ($name:expr, $doc:literal, $get:expr) => {
        hidden!($name, List, ArgRule::OptionalIndex, $doc, $get)
    };
}

macro_rules! text {
    ($name:literal, $doc:literal, $path:expr) => {
        hidden!($name, Str, ArgRule::None, $doc, |e, _| text(e, &$path))
    };
}

/// The fields of one list of containers.
macro_rules! of_list {
    ($list:literal, $path:expr) => {
        &[
            texts!(
                concat!("ka.req.pod.", $list, ".name"),
                "Names of these containers.",
                |e, a| of_each(e, &$path, &["name"], a)
            ),
            texts!(
                concat!("ka.req.pod.", $list, ".image"),
                "Their images.",
                |e, a| of_each(e, &$path, &["image"], a)
            ),
            texts!(
                concat!("ka.req.pod.", $list, ".image.repository"),
                "Their images without tag and digest.",
                |e, a| repositories_in(e, &$path, a)
            ),
            texts!(concat!("ka.req.pod.", $list, ".command"), "Their commands.", |e, a| {
                words(e, &$path, "command", a)
            }),
            texts!(
                concat!("ka.req.pod.", $list, ".args"),
                "Their arguments.",
                |e, a| words(e, &$path, "args", a)
            ),
            texts!(
                concat!("ka.req.pod.", $list, ".privileged"),
                "Whether they are privileged.",
                |e, a| of_each(e, &$path, &["securityContext", "privileged"], a)
            ),
            texts!(
                concat!("ka.req.pod.", $list, ".allow_privilege_escalation"),
                "Whether they may gain privileges.",
                |e, a| of_each(e, &$path, &["securityContext", "allowPrivilegeEscalation"], a)
            ),
            texts!(
                concat!("ka.req.pod.", $list, ".read_only_fs"),
                "Whether their root file systems are read-only.",
                |e, a| of_each(e, &$path, &["securityContext", "readOnlyRootFilesystem"], a)
            ),
            texts!(
                concat!("ka.req.pod.", $list, ".run_as_user"),
                "Their users, where they have their own.",
                |e, a| of_each(e, &$path, &["securityContext", "runAsUser"], a)
            ),
            texts!(
                concat!("ka.req.pod.", $list, ".eff_run_as_user"),
                "User that each begins with; 0 where none is named.",
                |e, a| effective_in(e, &$path, "runAsUser", a)
            ),
            texts!(
                concat!("ka.req.pod.", $list, ".run_as_group"),
                "Their groups, where they have their own.",
                |e, a| of_each(e, &$path, &["securityContext", "runAsGroup"], a)
            ),
            texts!(
                concat!("ka.req.pod.", $list, ".eff_run_as_group"),
                "Group that each begins with; 0 where none is named.",
                |e, a| effective_in(e, &$path, "runAsGroup", a)
            ),
            texts!(
                concat!("ka.req.pod.", $list, ".proc_mount"),
                "Kinds of their /proc.",
                |e, a| of_each(e, &$path, &["securityContext", "procMount"], a)
            ),
            texts!(
                concat!("ka.req.pod.", $list, ".add_capabilities"),
                "Capabilities that they get in addition.",
                |e, a| of_each(e, &$path, &["securityContext", "capabilities", "add"], a)
            ),
            texts!(
                concat!("ka.req.pod.", $list, ".host_port"),
                "Their ports on the host.",
                |e, a| host_ports_in(e, &$path, a)
            ),
        ]
    };
}

/// Fields of init containers.
pub(super) const OF_INIT: &[Field] = of_list!("initContainers", INIT);

/// Fields of ephemeral containers.
pub(super) const OF_EPHEMERAL: &[Field] = of_list!("ephemeralContainers", EPHEMERAL);

/// Further fields.
pub(super) const FIELDS: &[Field] = &[
    texts!(
        "ka.req.pod.containers.name",
        "Names of the pod's containers.",
        |e, a| of_each(e, &CONTAINERS, &["name"], a)
    ),
    texts!("ka.req.pod.containers.command", "Their commands.", |e, a| words(
        e,
        &CONTAINERS,
        "command",
        a
    )),
    texts!("ka.req.pod.containers.args", "Their arguments.", |e, a| words(
        e,
        &CONTAINERS,
        "args",
        a
    )),
    texts!(
        "ka.req.binding.subjects.user_names",
        "Users that a role binding names.",
        |e, _| subjects(e, "User", false)
    ),
    texts!(
        "ka.req.binding.subjects.group_names",
        "Groups that a role binding names.",
        |e, _| subjects(e, "Group", false)
    ),
    texts!(
        "ka.req.binding.subjects.serviceaccount_names",
        "Service accounts that a role binding names.",
        |e, _| subjects(e, "ServiceAccount", false)
    ),
    texts!(
        "ka.req.binding.subjects.serviceaccount_ns_names",
        "The same as `namespace:name`.",
        |e, _| subjects(e, "ServiceAccount", true)
    ),
    hidden!(
        "ka.req.binding.subject.has_name",
        Str,
        ArgRule::Required,
        "Always `true`, as in the plugin, where it has no use any more.",
        |e, _| json(e).map_or(Value::Absent, |_| Value::owned("true"))
    ),
    hidden!(
        "ka.target.pod.name",
        Str,
        ArgRule::None,
        "Name of a pod that was asked for itself.",
        |e, _| pod_name(e)
    ),
    text!(
        "ka.auth.openshift.decision",
        "What OpenShift's authentication decided.",
        ["annotations", "authentication.openshift.io/decision"]
    ),
    text!(
        "ka.auth.openshift.username",
        "Whom OpenShift's authentication decided about.",
        ["annotations", "authentication.openshift.io/username"]
    ),
    text!(
        "ka.validations.admission.policy.failure",
        "Why an admission policy's validation failed.",
        ["annotations", "validation.policy.admission.k8s.io/validation_failure"]
    ),
    text!(
        "ka.security.pod.violations",
        "What of the pod security standards was violated.",
        ["annotations", "pod-security.kubernetes.io/audit-violations"]
    ),
    text!(
        "ka.cluster.name",
        "Name of the cluster.",
        ["annotations", "cluster_name"]
    ),
];
