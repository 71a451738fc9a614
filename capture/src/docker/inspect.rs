//! What the engine says about a container and its image, as a [`Container`].

use std::collections::BTreeMap;

use ctrace_trace::container::{Container, Mount};
use serde::Deserialize;

use super::client::Init;
use super::json::nullable;
use super::timestamp::parse_rfc3339;

/// `GET /containers/{id}/json`, as far as it is used.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ContainerJson {
    #[serde(deserialize_with = "nullable")]
    id: String,
    #[serde(deserialize_with = "nullable")]
    name: String,
    /// The image's id.
    #[serde(deserialize_with = "nullable")]
    pub(super) image: String,
    #[serde(deserialize_with = "nullable")]
    created: String,
    #[serde(deserialize_with = "nullable")]
    state: State,
    #[serde(deserialize_with = "nullable")]
    config: Config,
    #[serde(deserialize_with = "nullable")]
    host_config: HostConfig,
    #[serde(deserialize_with = "nullable")]
    network_settings: NetworkSettings,
    #[serde(deserialize_with = "nullable")]
    mounts: Vec<MountJson>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    #[serde(deserialize_with = "nullable")]
    running: bool,
    #[serde(deserialize_with = "nullable")]
    pid: u32,
    #[serde(deserialize_with = "nullable")]
    started_at: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    #[serde(deserialize_with = "nullable")]
    tty: bool,
    #[serde(deserialize_with = "nullable")]
    image: String,
    #[serde(deserialize_with = "nullable")]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    privileged: Option<bool>,
    readonly_rootfs: Option<bool>,
    pid_mode: Option<String>,
    network_mode: Option<String>,
    ipc_mode: Option<String>,
    #[serde(deserialize_with = "nullable")]
    cap_add: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NetworkSettings {
    #[serde(rename = "IPAddress", deserialize_with = "nullable")]
    ip_address: String,
    #[serde(rename = "Networks", deserialize_with = "nullable")]
    networks: BTreeMap<String, Option<Network>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Network {
    #[serde(rename = "IPAddress", deserialize_with = "nullable")]
    ip_address: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MountJson {
    #[serde(rename = "Source", deserialize_with = "nullable")]
    source: String,
    #[serde(rename = "Destination", deserialize_with = "nullable")]
    destination: String,
    #[serde(rename = "Mode", deserialize_with = "nullable")]
    mode: String,
    #[serde(rename = "RW", deserialize_with = "nullable")]
    rw: bool,
    #[serde(rename = "Propagation", deserialize_with = "nullable")]
    propagation: String,
}

/// `GET /images/{id}/json`, as far as it is used.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ImageJson {
    #[serde(deserialize_with = "nullable")]
    repo_tags: Vec<String>,
    #[serde(deserialize_with = "nullable")]
    repo_digests: Vec<String>,
}

/// One entry of `GET /containers/json`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ListEntry {
    #[serde(deserialize_with = "nullable")]
    pub(super) id: String,
}

impl ContainerJson {
    /// Whether it runs now.
    pub(super) fn is_running(&self) -> bool {
        self.state.running
    }

    /// Its first process, where it runs.
    pub(super) fn init(&self) -> Option<Init> {
        let owns_pids = matches!(self.host_config.pid_mode.as_deref(), None | Some("" | "private"));
        let pid = self.state.pid;
        (self.state.running && pid != 0).then_some(Init { pid, owns_pids })
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.name.trim_start_matches('/')
    }

    /// Whether it writes to a terminal: its output and its errors are one stream then.
    pub(super) fn has_terminal(&self) -> bool {
        self.config.tty
    }

    /// The container, with what its image's own record adds (names for an id, the digest).
    pub(super) fn into_container(self, engine: &str, image: &ImageJson) -> Container {
        let host = &self.host_config;
        let is_host = |mode: &Option<String>| mode.as_ref().map(|m| m == "host");
        let host_namespaces = [
            is_host(&host.pid_mode),
            is_host(&host.network_mode),
            is_host(&host.ipc_mode),
        ];
        let image_name = image.name_of(&self.config.image, &self.image);
        Container {
            engine: engine.to_owned(),
            name: self.name().to_owned(),
            image_digest: image.digest_of(&image_name),
            image: image_name,
            ip: self.network_settings.first_address(),
            labels: self.config.labels.into_iter().collect(),
            privileged: host.privileged,
            read_only: host.readonly_rootfs,
            host_namespaces,
            cap_add: capability_names(self.host_config.cap_add),
            mounts: self.mounts.into_iter().map(MountJson::into_mount).collect(),
            created_ts: parse_rfc3339(&self.created).unwrap_or(0),
            started_ts: parse_rfc3339(&self.state.started_at).unwrap_or(0),
            image_id: self.image,
            id: self.id,
        }
    }
}

/// Capabilities as the kernel names them, sorted: engines of different versions write them with and without `CAP_`.
fn capability_names(given: Vec<String>) -> Vec<String> {
    let full = |name: String| match name.as_str() {
        "ALL" => name,
        _ if name.starts_with("CAP_") => name,
        _ => format!("CAP_{name}"),
    };
    let mut names: Vec<String> = given.into_iter().map(full).collect();
    names.sort_unstable();
    names
}

impl NetworkSettings {
    /// The default bridge's address, or that of the first network by name.
    fn first_address(&self) -> String {
        let networks = self.networks.values().flatten().map(|n| &n.ip_address);
        let mut all = std::iter::once(&self.ip_address).chain(networks);
        all.find(|a| !a.is_empty()).cloned().unwrap_or_default()
    }
}

impl MountJson {
    fn into_mount(self) -> Mount {
        Mount {
            source: self.source,
            dest: self.destination,
            mode: self.mode,
            rw: self.rw,
            propagation: self.propagation,
        }
    }
}

impl ImageJson {
    /// The name used at creation; where that was an id, the image's first tag if it has one.
    fn name_of(&self, given: &str, id: &str) -> String {
        let hex = id.strip_prefix("sha256:").unwrap_or(id);
        let is_id = given == id || (given.len() >= 4 && hex.starts_with(given));
        match self.repo_tags.first() {
            Some(tag) if is_id => tag.clone(),
            _ => given.to_owned(),
        }
    }

    /// The digest under which the image's repository knows it, else any that is known.
    fn digest_of(&self, name: &str) -> String {
        let repository = repository(name);
        let of_repository = self.repo_digests.iter().find(|d| repository_of_digest(d) == repository);
        let digest = of_repository.or(self.repo_digests.first());
        let digest = digest.and_then(|d| d.split_once('@'));
        digest.map(|(_, digest)| digest.to_owned()).unwrap_or_default()
    }
}

/// An image name without tag and digest. A colon before the last slash belongs to the registry's port.
fn repository(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or_default();
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

fn repository_of_digest(digest: &str) -> &str {
    digest.split('@').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSPECT: &str = r#"{
        "Id": "1cd9", "Created": "2026-11-21T01:28:17.5Z", "Name": "/web", "Image": "sha256:919de4d0c526",
        "State": {"Running": true, "StartedAt": "2026-11-21T01:28:18Z"},
        "Config": {"Image": "127.0.0.1:5055/bb:1", "Labels": {"b": "2", "a": "1"}},
        "HostConfig": {"Privileged": true, "ReadonlyRootfs": false, "PidMode": "host", "NetworkMode": "default",
                       "IpcMode": "private", "CapAdd": ["SYS_PTRACE", "CAP_NET_ADMIN"]},
        "NetworkSettings": {"IPAddress": "", "Networks": {"z": {"IPAddress": "10.0.0.9"}, "lab": {"IPAddress": "10.0.0.2"}}},
        "Mounts": [{"Type": "bind", "Source": "/etc", "Destination": "/hostetc", "Mode": "ro", "RW": false, "Propagation": "rprivate"}],
        "SomethingNew": {"x": [1, 2]}
    }"#;

    fn container(inspect: &str, image: &str) -> Container {
        let inspect: ContainerJson = serde_json::from_str(inspect).expect("container");
        let image: ImageJson = serde_json::from_str(image).expect("image");
        inspect.into_container("docker", &image)
    }

    #[test]
    fn all_fields_are_taken_over() {
        let image = r#"{"RepoTags": ["other:2"], "RepoDigests": ["other@sha256:aa", "127.0.0.1:5055/bb@sha256:bb"]}"#;
        let c = container(INSPECT, image);
        assert_eq!(
            (c.id.as_str(), c.engine.as_str(), c.name.as_str()),
            ("1cd9", "docker", "web")
        );
        assert_eq!(c.image, "127.0.0.1:5055/bb:1");
        assert_eq!(
            (c.image_id.as_str(), c.image_digest.as_str()),
            ("sha256:919de4d0c526", "sha256:bb")
        );
        let label = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(c.labels, [label("a", "1"), label("b", "2")]);
        assert_eq!((c.privileged, c.read_only), (Some(true), Some(false)));
        assert_eq!(c.host_namespaces, [Some(true), Some(false), Some(false)]);
        assert_eq!(c.cap_add, ["CAP_NET_ADMIN", "CAP_SYS_PTRACE"]);
        assert_eq!(c.ip, "10.0.0.2");
        assert_eq!((c.mounts[0].dest.as_str(), c.mounts[0].rw), ("/hostetc", false));
        assert_eq!(c.created_ts, 1_795_224_497_500_000_000);
        assert_eq!(c.started_ts, 1_795_224_498_000_000_000);
    }

    #[test]
    fn an_image_given_by_id_gets_its_tag() {
        let by_id = r#"{"Image": "sha256:919de4d0c526", "Config": {"Image": "919de4d0", "Labels": null}}"#;
        assert_eq!(container(by_id, r#"{"RepoTags": ["bb:1"]}"#).image, "bb:1");
        assert_eq!(container(by_id, r#"{"RepoTags": null}"#).image, "919de4d0");
    }

    #[test]
    fn nothing_known_stays_unknown() {
        let c = container("{}", "{}");
        assert_eq!(
            c,
            Container {
                engine: "docker".to_owned(),
                ..Container::default()
            }
        );
    }
}
