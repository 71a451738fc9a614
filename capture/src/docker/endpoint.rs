//! Where the engine listens: what users write in `--docker-host` and `DOCKER_HOST`.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// The socket that engines use unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

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
    /// Takes the first that is given and not empty: the option, the environment's `DOCKER_HOST`, the default socket.
    pub fn choose(option: Option<&str>, environment: Option<&str>) -> Result<Endpoint, EndpointError> {
        let given = [option, environment].into_iter().flatten().find(|s| !s.is_empty());
        match given {
            Some(address) => Endpoint::parse(address),
            None => Ok(Endpoint {
                path: DEFAULT_SOCKET.into(),
            }),
        }
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
    fn the_option_wins_over_the_environment_and_that_over_the_default() {
        let path = |o, e| Endpoint::choose(o, e).map(|e| e.path().display().to_string());
        assert_eq!(path(Some("unix:///a"), Some("unix:///b")).as_deref(), Ok("/a"));
        assert_eq!(path(None, Some("unix:///b")).as_deref(), Ok("/b"));
        assert_eq!(path(Some(""), Some("/c.sock")).as_deref(), Ok("/c.sock"));
        assert_eq!(path(None, None).as_deref(), Ok(DEFAULT_SOCKET));
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
