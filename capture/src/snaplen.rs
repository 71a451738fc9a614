//! How much is kept of what is read, written, sent and received, and of which descriptors.

use std::fmt;
use std::str::FromStr;

use ctrace_trace::fd::FdKind;
use ctrace_wire::section::SNAPLEN_MAX;

const KINDS: [&str; 4] = ["files", "net", "unix", "pipes"];

/// The first bytes of each buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snaplen {
    /// How many; 0 for nothing.
    pub bytes: u32,
    /// Of these kinds of descriptors; empty for all.
    kinds: Vec<&'static str>,
}

impl Snaplen {
    /// Whether the data of every descriptor is kept.
    pub(crate) fn keeps_all(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Whether the data of a descriptor is kept. Of one that is not known it is, whatever the kinds: it may be one of them.
    pub(crate) fn keeps(&self, kind: Option<FdKind>) -> bool {
        let name = match kind {
            None | Some(FdKind::Unknown) => return true,
            Some(FdKind::Pipe) => "pipes",
            Some(FdKind::Unix) => "unix",
            Some(FdKind::Ipv4 | FdKind::Ipv6 | FdKind::Packet | FdKind::Netlink) => "net",
            Some(_) => "files",
        };
        self.keeps_all() || self.kinds.contains(&name)
    }
}

impl fmt::Display for Snaplen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bytes)?;
        match self.kinds.is_empty() {
            true => Ok(()),
            false => write!(f, ":{}", self.kinds.join(",")),
        }
    }
}

impl FromStr for Snaplen {
    type Err = String;

    fn from_str(text: &str) -> Result<Snaplen, String> {
        let (bytes, kinds) = text
            .split_once(':')
            .map_or((text, None), |(bytes, kinds)| (bytes, Some(kinds)));
        let bytes = bytes.parse().ok().filter(|bytes| *bytes <= SNAPLEN_MAX);
        let bytes = bytes.ok_or_else(|| format!("must be a number of bytes, at most {SNAPLEN_MAX}"))?;
        let known = |name: &str| KINDS.into_iter().find(|known| *known == name);
        let kinds: Option<Vec<&str>> = kinds.map_or(Some(Vec::new()), |kinds| kinds.split(',').map(known).collect());
        let kinds = kinds.ok_or_else(|| format!("the kinds of descriptors are {}", KINDS.join(", ")))?;
        Ok(Snaplen { bytes, kinds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_kept() {
        let net: Snaplen = "256:net,pipes".parse().expect("valid");
        assert_eq!((net.bytes, net.to_string().as_str()), (256, "256:net,pipes"));
        for (kind, kept) in [
            (Some(FdKind::Ipv4), true),
            (Some(FdKind::Pipe), true),
            (Some(FdKind::File), false),
            (Some(FdKind::Unix), false),
            (Some(FdKind::Unknown), true),
            (None, true),
        ] {
            assert_eq!(net.keeps(kind), kept, "{kind:?}");
        }
        let all: Snaplen = "16".parse().expect("valid");
        assert!(all.keeps(Some(FdKind::Memfd)) && all.to_string() == "16");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "4097", "x", "16:", "16:file", ":net", "16:net,,unix"] {
            assert!(text.parse::<Snaplen>().is_err(), "{text}");
        }
    }
}
