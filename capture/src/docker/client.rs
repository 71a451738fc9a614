//! The engine's API, as far as it is used: each call is one connection.
//!
//! Paths carry no API version: engines then answer with the version they prefer, while a fixed one is refused by engines
//! that are too old or too new for it. What is read is the same in all of them.

use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ctrace_trace::container::Container;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::endpoint::Endpoint;
use super::http::{self, HttpError, Response};
use super::inspect::{ContainerJson, ImageJson, ListEntry};
use super::json::nullable;
use crate::host::OnDemand;

/// How long the engine may take for an answer. A container whose runtime hangs makes its inspect hang.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer that is accepted; a list of ten thousand containers has some tens of megabytes.
const MAX_ANSWER: usize = 64 << 20;
/// Longest inspect answer that is accepted.
const MAX_INSPECT: usize = 4 << 20;

/// Why a call failed.
#[derive(Debug, Error)]
pub enum DockerError {
    /// No connection, or no HTTP.
    #[error("Docker engine at {socket}: {source}")]
    Http {
        /// The engine's socket.
        socket: String,
        /// What happened.
        source: HttpError,
    },
    /// The engine refused.
    #[error("Docker engine at {socket}: GET {path}: status {status}: {message}")]
    Status {
        /// The engine's socket.
        socket: String,
        /// The request's path.
        path: String,
        /// HTTP status.
        status: u16,
        /// The beginning of what the engine said.
        message: String,
    },
    /// The answer is not the JSON that the API promises.
    #[error("Docker engine at {socket}: GET {path}: {source}")]
    Json {
        /// The engine's socket.
        socket: String,
        /// The request's path.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// What an engine says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineInfo {
    /// `docker` or `podman`.
    pub engine: String,
    /// Its version.
    pub version: String,
    /// The API version that it speaks.
    pub api_version: String,
    /// Its own id.
    pub id: String,
    /// `overlay2`, …
    pub storage_driver: String,
    /// `cgroupfs` or `systemd`.
    pub cgroup_driver: String,
    /// Where images and layers lie.
    pub root_dir: String,
    /// The whole answer to `GET /info`.
    pub raw: Vec<u8>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct VersionJson {
    #[serde(deserialize_with = "nullable")]
    version: String,
    #[serde(deserialize_with = "nullable")]
    api_version: String,
    #[serde(deserialize_with = "nullable")]
    components: Vec<Component>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Component {
    #[serde(deserialize_with = "nullable")]
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InfoJson {
    #[serde(rename = "ID", deserialize_with = "nullable")]
    id: String,
    #[serde(rename = "Driver", deserialize_with = "nullable")]
    driver: String,
    #[serde(rename = "CgroupDriver", deserialize_with = "nullable")]
    cgroup_driver: String,
    #[serde(rename = "DockerRootDir", deserialize_with = "nullable")]
    root_dir: String,
}

/// Speaks to one engine.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Endpoint,
    /// The engine's service, where a connection would start it; found out before the first one.
    on_demand: Arc<OnceLock<Option<OnDemand>>>,
}

/// Podman has no daemon: its service does nothing but answer, and ends when nobody asks. Docker's starts containers.
const ANSWERS_ONLY: &str = "podman";

/// How a container runs now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs {
    /// Whether it does.
    pub(super) running: bool,
    /// Its first process.
    pub(super) init: Option<Init>,
}

/// The first process of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Init {
    /// Its id on the host.
    pub pid: u32,
    /// Whether its pid namespace is the container's own.
    pub owns_pids: bool,
}

impl Client {
    /// Makes a client; connects only when it is asked something.
    pub fn new(endpoint: Endpoint) -> Client {
        Client {
            endpoint,
            on_demand: Arc::default(),
        }
    }

    /// Asks whether the engine is there.
    pub fn ping(&self) -> Result<(), DockerError> {
        self.get("/_ping", 4096).map(|_| ())
    }

    /// Asks the engine about itself.
    pub fn info(&self) -> Result<EngineInfo, DockerError> {
        let version: VersionJson = self.json("/version", MAX_INSPECT)?;
        let raw = self.get("/info", MAX_INSPECT)?;
        let info: InfoJson = self.decode("/info", &raw)?;
        let is_podman = version.components.iter().any(|c| c.name.starts_with("Podman"));
        Ok(EngineInfo {
            engine: if is_podman { "podman" } else { "docker" }.to_owned(),
            version: version.version,
            api_version: version.api_version,
            id: info.id,
            storage_driver: info.driver,
            cgroup_driver: info.cgroup_driver,
            root_dir: info.root_dir,
            raw,
        })
    }

    /// The ids of the running containers, sorted.
    pub fn running(&self) -> Result<Vec<String>, DockerError> {
        let list: Vec<ListEntry> = self.json("/containers/json", MAX_ANSWER)?;
        let mut ids: Vec<String> = list
            .into_iter()
            .map(|entry| entry.id)
            .filter(|id| !id.is_empty())
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// A container and how it runs; `engine` becomes [`Container::engine`]. `None` when the engine has it no more.
    pub(super) fn inspect(&self, id: &str, engine: &str) -> Result<Option<(Container, Runs)>, DockerError> {
        let found = match self.container(id) {
            Err(DockerError::Status { status: 404, .. }) => return Ok(None),
            other => other?,
        };
        let runs = Runs {
            running: found.is_running(),
            init: found.init(),
        };
        Ok(Some((self.describe(found, engine), runs)))
    }

    /// What the engine says about a container, without its image.
    pub(super) fn container(&self, id: &str) -> Result<ContainerJson, DockerError> {
        self.json(&format!("/containers/{}/json", path_segment(id)), MAX_INSPECT)
    }

    /// The same with its image; `engine` becomes [`Container::engine`].
    pub(super) fn describe(&self, found: ContainerJson, engine: &str) -> Container {
        // An image may be gone or unreadable while its container runs: its name and digest are then just not known.
        let image = self.image(&found.image).unwrap_or_default();
        found.into_container(engine, &image)
    }

    fn image(&self, id: &str) -> Result<ImageJson, DockerError> {
        self.json(&format!("/images/{}/json", path_segment(id)), MAX_INSPECT)
    }

    /// Begins to stream the events from a time on, nanoseconds since the Unix epoch, inclusive.
    pub(super) fn events(&self, since_ns: u64) -> Result<Response, DockerError> {
        self.open(&format!("/events?since={}", seconds(since_ns)))
    }

    /// Begins to stream what a container writes, from a time on, inclusive.
    pub(super) fn logs(&self, id: &str, since_ns: u64) -> Result<Response, DockerError> {
        let (id, since) = (path_segment(id), seconds(since_ns));
        self.open(&format!(
            "/containers/{id}/logs?follow=1&stdout=1&stderr=1&timestamps=1&since={since}"
        ))
    }

    fn json<T: DeserializeOwned>(&self, path: &str, limit: usize) -> Result<T, DockerError> {
        let body = self.get(path, limit)?;
        self.decode(path, &body)
    }

    fn decode<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> Result<T, DockerError> {
        serde_json::from_slice(body).map_err(|source| DockerError::Json {
            socket: self.socket(),
            path: path.to_owned(),
            source,
        })
    }

    fn get(&self, path: &str, limit: usize) -> Result<Vec<u8>, DockerError> {
        let response = self.open(path)?;
        response.read_all(limit, TIMEOUT).map_err(|e| self.http_error(e))
    }

    /// Sends the request; anything but a status 200 is an error.
    fn open(&self, path: &str) -> Result<Response, DockerError> {
        self.must_run()?;
        let response = http::get(&self.endpoint, path, TIMEOUT).map_err(|e| self.http_error(e))?;
        if response.status == 200 {
            return Ok(response);
        }
        let status = response.status;
        let message = response.read_all(64 * 1024, TIMEOUT).unwrap_or_default();
        Err(DockerError::Status {
            socket: self.socket(),
            path: path.to_owned(),
            status,
            message: String::from_utf8_lossy(&message).trim().chars().take(300).collect(),
        })
    }

    /// A recorder must not start what it only looks at.
    fn must_run(&self) -> Result<(), DockerError> {
        let found = || OnDemand::behind(self.endpoint.path()).filter(|s| !s.service().starts_with(ANSWERS_ONLY));
        match self.on_demand.get_or_init(found) {
            Some(service) if !service.is_running() => {
                let service = service.service().to_owned();
                Err(self.http_error(HttpError::Asleep { service }))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn http_error(&self, source: HttpError) -> DockerError {
        DockerError::Http {
            socket: self.socket(),
            source,
        }
    }

    /// Whether the engine's socket belongs to the user that this process runs as.
    pub(super) fn is_own(&self) -> bool {
        // SAFETY: no preconditions.
        let me = unsafe { libc::geteuid() };
        std::fs::metadata(self.endpoint.path()).is_ok_and(|socket| socket.uid() == me)
    }

    fn socket(&self) -> String {
        self.endpoint.path().display().to_string()
    }
}

/// A time as the engine takes it: seconds and their fraction.
fn seconds(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

/// Makes a name from the engine safe as one segment of a path: it must not change which request is made.
fn path_segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_path_segment() {
        assert_eq!(path_segment("sha256:0aF_-."), "sha256:0aF_-.");
        assert_eq!(path_segment("a/b c?\r\n"), "a%2Fb%20c%3F%0D%0A");
    }

    #[test]
    fn an_absent_engine_is_named_in_the_error() {
        let endpoint = Endpoint::parse("unix:///nonexistent/docker.sock").expect("valid");
        let error = Client::new(endpoint).ping().expect_err("nobody listens there");
        assert!(
            error
                .to_string()
                .starts_with("Docker engine at /nonexistent/docker.sock: "),
            "{error}"
        );
    }
}
