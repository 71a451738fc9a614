//! Where the engine listens: what users write in `--docker-host` and `DOCKER_HOST`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The socket that engines use unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Podman's, for the whole host.
const PODMAN_SOCKET: &str = "/run/podman/podman.sock";
/// Where users have folders with the sockets of their own engines.
const USERS: &str = "/run/user";
/// The sockets of users' engines there.
const USER_SOCKETS: [&str; 2] = ["docker.sock", "podman/podman.sock"];

/// The sockets that are there: Docker's, Podman's, and those of users' own engines. One that leads to another
/// (`podman-docker` links Docker's to Podman's) counts once.
pub fn sockets() -> Vec<PathBuf> {
    let users = fs::read_dir(USERS).into_iter().flatten().flatten();
    let mut own: Vec<PathBuf> = users
        .flat_map(|user| USER_SOCKETS.map(|socket| user.path().join(socket)))
        .collect();
    own.sort();
    let mut known = BTreeSet::new();
    let all = [DEFAULT_SOCKET.into(), PODMAN_SOCKET.into()].into_iter().chain(own);
    all.filter(|path: &PathBuf| {
        let is_socket = fs::metadata(path).is_ok_and(|m| m.file_type().is_socket());
        is_socket && fs::canonicalize(path).is_ok_and(|real| known.insert(real))
    })
    .collect()
}

/// A unix socket on which an engine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    path: PathBuf,
}

/// Why an address cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// The scheme is known, but a recorder on the engine's own host has no use for it.
    #[error("Docker host {address}: {scheme} is not supported, only unix:///path/of/socket")]
    Unsupported {
        /// The address as it was given.
        address: String,
        /// Its scheme.
        scheme: String,
    },
    /// Not an address at all.
    #[error("Docker host {address:?} is not of the form unix:///path/of/socket")]
    Malformed {
        /// The address as it was given.
        address: String,
    },
}

impl Endpoint {
    /// The engines to ask: those of the option, else the environment's `DOCKER_HOST`, else those that are found where Docker
    /// and Podman listen, and Docker's own place where there is none.
    ///
    /// # Errors
    /// For an address that is none.
    pub fn choose(
        options: &[String],
        environment: Option<&str>,
        found: impl FnOnce() -> Vec<PathBuf>,
    ) -> Result<Vec<Endpoint>, EndpointError> {
        let options: Vec<&str> = options.iter().map(String::as_str).filter(|s| !s.is_empty()).collect();
        if !options.is_empty() {
            return options.into_iter().map(Endpoint::parse).collect();
        }
        if let Some(address) = environment.filter(|s| !s.is_empty()) {
            return Ok(vec![Endpoint::parse(address)?]);
        }
        let mut paths = found();
        if paths.is_empty() {
            paths.push(DEFAULT_SOCKET.into());
        }
        Ok(paths.into_iter().map(|path| Endpoint { path }).collect())
    }

    /// Reads `unix:///path`, or a bare absolute path.
    pub fn parse(address: &str) -> Result<Endpoint, EndpointError> {
        let path = match address.split_once("://") {
            Some(("unix", path)) => path,
            Some((scheme, _)) => {
                return Err(EndpointError::Unsupported {
                    address: address.to_owned(),
                    scheme: scheme.to_owned(),
                });
            }
            None => address,
        };
        if !path.starts_with('/') {
            return Err(EndpointError::Malformed {
                address: address.to_owned(),
            });
        }
        Ok(Endpoint { path: path.into() })
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_wins_over_the_environment_and_that_over_what_is_found() {
        let paths = |options: &[&str], environment, found: &[&str]| {
            let options: Vec<String> = options.iter().map(|s| (*s).to_owned()).collect();
            let found = || found.iter().map(PathBuf::from).collect();
            let chosen = Endpoint::choose(&options, environment, found).expect("addresses");
            chosen
                .iter()
                .map(|e| e.path().display().to_string())
                .collect::<Vec<_>>()
        };
        let (two, none) = (["/p", "/q"], []);
        assert_eq!(paths(&["unix:///a", "/c"], Some("unix:///b"), &two), ["/a", "/c"]);
        assert_eq!(paths(&[], Some("unix:///b"), &two), ["/b"]);
        assert_eq!(paths(&[""], Some(""), &two), two);
        assert_eq!(paths(&[], None, &none), [DEFAULT_SOCKET]);
    }

    #[test]
    fn other_transports_are_refused_by_name() {
        let error = Endpoint::parse("tcp://127.0.0.1:2375").map_err(|e| e.to_string());
        assert_eq!(
            error.expect_err("tcp must be refused"),
            "Docker host tcp://127.0.0.1:2375: tcp is not supported, only unix:///path/of/socket"
        );
        assert!(matches!(
            Endpoint::parse("unix://relative.sock"),
            Err(EndpointError::Malformed { .. })
        ));
    }
}
