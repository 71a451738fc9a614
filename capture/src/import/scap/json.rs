//! What container events say: JSON since sysdig 0.20.

use std::collections::BTreeMap;

use ctrace_trace::container::{Container, Mount};
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
struct Whole {
    container: Record,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Record {
    id: String,
    full_id: String,
    #[serde(rename = "type")]
    kind: Option<i64>,
    #[serde(deserialize_with = "nullable")]
    name: String,
    #[serde(deserialize_with = "nullable")]
    image: String,
    #[serde(deserialize_with = "nullable")]
    imageid: String,
    #[serde(deserialize_with = "nullable")]
    imagedigest: String,
    #[serde(deserialize_with = "nullable")]
    ip: String,
    privileged: Option<bool>,
    host_pid: Option<bool>,
    host_network: Option<bool>,
    host_ipc: Option<bool>,
    created_time: Option<u64>,
    #[serde(deserialize_with = "nullable")]
    labels: BTreeMap<String, String>,
    #[serde(rename = "Mounts", deserialize_with = "nullable")]
    mounts: Vec<MountRecord>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct MountRecord {
    source: String,
    destination: String,
    mode: String,
    #[serde(rename = "RW")]
    rw: bool,
    propagation: String,
}

/// `null` is the same as absent.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// The engine of the format's own number.
pub(super) fn engine(number: i64) -> &'static str {
    match number {
        0 => "docker",
        1 => "lxc",
        2 => "libvirt-lxc",
        3 => "mesos",
        4 => "rkt",
        6 => "cri",
        7 => "containerd",
        8 => "cri-o",
        9 => "bpm",
        11 => "podman",
        _ => "",
    }
}

/// The container of a record; `None` where it is none.
pub(super) fn container(text: &[u8]) -> Option<Container> {
    let record = serde_json::from_slice::<Whole>(text).ok()?.container;
    let id = if record.full_id.is_empty() {
        record.id
    } else {
        record.full_id
    };
    let mounts = record.mounts.into_iter().map(|m| Mount {
        source: m.source,
        dest: m.destination,
        mode: m.mode,
        rw: m.rw,
        propagation: m.propagation,
    });
    Some(Container {
        id,
        engine: engine(record.kind.unwrap_or(-1)).to_owned(),
        name: record.name.trim_start_matches('/').to_owned(),
        image: record.image,
        image_id: record.imageid,
        image_digest: record.imagedigest,
        labels: record.labels.into_iter().collect(),
        privileged: record.privileged,
        mounts: mounts.collect(),
        ip: record.ip,
        host_namespaces: [record.host_pid, record.host_network, record.host_ipc],
        created_ts: record.created_time.unwrap_or(0).saturating_mul(1_000_000_000),
        ..Container::default()
    })
    .filter(|c| !c.id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_a_container() {
        let text = br#"{"container":{"id":"0123456789ab","full_id":"","type":0,"name":"/web","image":"nginx:1",
            "imageid":null,"labels":null,"Mounts":[{"Source":"/a","Destination":"/b","Mode":"ro","RW":false}]}}"#;
        let c = container(text).unwrap_or_default();
        assert_eq!(
            (c.id.as_str(), c.engine.as_str(), c.name.as_str()),
            ("0123456789ab", "docker", "web")
        );
        assert_eq!(c.mounts.first().map(|m| m.dest.as_str()), Some("/b"));
        assert_eq!(container(b"{}"), None);
        assert_eq!(container(b"\xff"), None);
    }
}
