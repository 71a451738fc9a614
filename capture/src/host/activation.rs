//! Services that systemd starts when somebody connects to their socket (systemd.socket(5)): whoever only wants to look must
//! know that before, or changes the host.

use std::fs;
use std::io;
use std::path::Path;

use super::dbus::{Body, Connection};
use super::systemd::{UNIT, ask, list_units, property};

/// Most addresses of a socket unit, and services behind it, that are looked at.
const MAX_NAMES: usize = 1000;

/// A service behind a socket at which systemd listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OnDemand {
    service: String,
}

impl OnDemand {
    /// The service that a connection to a unix socket starts; `None` where there is none, or no systemd to ask.
    pub(crate) fn behind(socket: &Path) -> Option<OnDemand> {
        // It is often named by a path that leads there: /var/run is /run.
        let real = fs::canonicalize(socket).ok()?;
        ask(|systemd| find(systemd, &real)).ok().flatten()
    }

    /// The unit's name, as `docker.service`.
    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    /// Whether it runs, or is being started, so that a connection starts nothing. Where systemd does not answer that is
    /// taken for granted.
    pub(crate) fn is_running(&self) -> bool {
        let state = ask(|systemd| {
            let mut value = property(systemd, &object(&self.service), UNIT, "ActiveState")?;
            text(&mut value).ok_or_else(|| io::ErrorKind::InvalidData.into())
        });
        state.map_or(true, |state| {
            ["active", "activating", "reloading", "refreshing"].contains(&state.as_str())
        })
    }
}

fn find(systemd: &mut Connection, socket: &Path) -> io::Result<Option<OnDemand>> {
    for (unit, object) in list_units(systemd)? {
        if !unit.name.ends_with(".socket") || unit.active != "active" {
            continue;
        }
        let mut listens = property(systemd, &object, "org.freedesktop.systemd1.Socket", "Listen")?;
        let listens = pairs(&mut listens).unwrap_or_default();
        // What is no path stands for no file.
        let is_it = |(_, address): &(String, String)| fs::canonicalize(address).is_ok_and(|real| real == socket);
        if !listens.iter().any(is_it) {
            continue;
        }
        let mut triggers = property(systemd, &object, UNIT, "Triggers")?;
        let services = texts(&mut triggers).unwrap_or_default();
        return Ok(services.into_iter().next().map(|service| OnDemand { service }));
    }
    Ok(None)
}

/// The object of a unit: its name, in which all but letters and digits are their code.
fn object(unit: &str) -> String {
    let mut object = "/org/freedesktop/systemd1/unit/".to_owned();
    for (at, byte) in unit.bytes().enumerate() {
        match byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit()) {
            true => object.push(char::from(byte)),
            false => object.push_str(&format!("_{byte:02x}")),
        }
    }
    object
}

fn text(value: &mut Body) -> Option<String> {
    (value.signature()? == b"s").then(|| value.text())?
}

fn texts(value: &mut Body) -> Option<Vec<String>> {
    (value.signature()? == b"as").then_some(())?;
    let _bytes = value.u32()?;
    let mut texts = Vec::new();
    while !value.is_at_end() && texts.len() < MAX_NAMES {
        texts.push(value.text()?);
    }
    Some(texts)
}

/// A list of pairs of texts.
fn pairs(value: &mut Body) -> Option<Vec<(String, String)>> {
    (value.signature()? == b"a(ss)").then_some(())?;
    let _bytes = value.u32()?;
    let mut pairs = Vec::new();
    value.align(8);
    while !value.is_at_end() && pairs.len() < MAX_NAMES {
        value.align(8);
        pairs.push((value.text()?, value.text()?));
    }
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_objects_as_systemd_names_them() {
        let of = |unit| object(unit).rsplit('/').next().map(str::to_owned);
        assert_eq!(of("docker.service").as_deref(), Some("docker_2eservice"));
        assert_eq!(of("0-a@b.service").as_deref(), Some("_30_2da_40b_2eservice"));
    }
}
