//! Statements on a Ballista cluster: where its scheduler is, what it can run, and what it means when it fails.
//!
//! The scheduler and the executors are those that the Ballista project publishes. They know DataFusion's functions and
//! the files of an export; they do not know this program's own functions.

#[cfg(not(feature = "cluster"))]
mod absent;
#[cfg(feature = "cluster")]
mod connection;
#[cfg(feature = "cluster")]
mod cut;
#[cfg(feature = "cluster")]
mod planner;
#[cfg(feature = "cluster")]
mod remote;

use std::fmt;
use std::str::FromStr;

#[cfg(not(feature = "cluster"))]
pub(crate) use absent::Connection;
#[cfg(feature = "cluster")]
pub(crate) use connection::Connection;

/// Where the scheduler of a cluster listens: `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterAddress {
    host: String,
    port: u16,
}

impl ClusterAddress {
    /// The address as a URL of the scheduler's protocol.
    #[cfg(feature = "cluster")]
    pub(crate) fn url(&self) -> String {
        format!("http://{self}")
    }
}

impl FromStr for ClusterAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ClusterAddress, String> {
        let wrong = || format!("{text}: not HOST:PORT, such as scheduler.example:50050");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|p| *p > 0).ok_or_else(wrong)?;
        let name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let is_host = match bracketed {
            Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(name),
        };
        if !is_host {
            return Err(wrong());
        }
        Ok(ClusterAddress {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for ClusterAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::ClusterAddress;

    #[test]
    fn addresses_are_host_and_port() {
        for good in [
            "localhost:50050",
            "10.0.0.7:1",
            "[::1]:50050",
            "scheduler-1.example:65535",
        ] {
            let address: ClusterAddress = good.parse().expect(good);
            assert_eq!(address.to_string(), good);
        }
        for bad in [
            "",
            ":50050",
            "localhost",
            "localhost:",
            "localhost:0",
            "localhost:65536",
            "http://localhost:50050",
            "::1:50050",
            "a b:1",
        ] {
            assert!(bad.parse::<ClusterAddress>().is_err(), "{bad}");
        }
    }
}
