//! The units of systemd, as it says itself (`org.freedesktop.systemd1(5)`). A host without systemd is a normal host.

use std::io;
use std::path::Path;
use std::time::Duration;

use ctrace_trace::snapshot::Unit;

use super::dbus::{Body, Call, Connection};

/// systemd's own socket, which root may use without a bus.
const PRIVATE: &str = "/run/systemd/private";
/// The system's bus.
const BUS: &str = "/run/dbus/system_bus_socket";
/// The interface of all units.
pub(super) const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "/org/freedesktop/systemd1";
/// All answers must have come by then: whoever reads the state of the host waits.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Questions that may wait for their answers, less than fit into a socket's buffer.
const AT_ONCE: usize = 32;
/// Most units that are kept.
const MAX_UNITS: usize = 50_000;

/// What systemd says.
#[derive(Clone, Debug, Default)]
pub struct Units {
    /// Its units, by name.
    pub units: Vec<Unit>,
    /// Why something is missing, if something is.
    pub missing: Option<String>,
}

/// What systemd says of its units; `None` where there is no systemd.
pub(super) fn read_units() -> Option<Units> {
    if !Path::new(PRIVATE).exists() && !Path::new("/run/systemd/system").exists() {
        return None;
    }
    Some(ask(units).unwrap_or_else(|e| Units {
        units: Vec::new(),
        missing: Some(format!("systemd could not be asked: {e}")),
    }))
}

/// Asks systemd something, at its own socket or over the bus.
pub(super) fn ask<T>(question: impl Fn(&mut Connection) -> io::Result<T>) -> io::Result<T> {
    let private = Connection::open(Path::new(PRIVATE), PATIENCE).and_then(|mut systemd| question(&mut systemd));
    private.or_else(|_| question(&mut bus()?))
}

fn bus() -> io::Result<Connection> {
    let mut bus = Connection::open(Path::new(BUS), PATIENCE)?;
    // Whoever does not say so gets nothing from a bus.
    bus.call(&Call {
        destination: "org.freedesktop.DBus",
        path: "/org/freedesktop/DBus",
        interface: "org.freedesktop.DBus",
        member: "Hello",
        arguments: &[],
    })?;
    Ok(bus)
}

/// All units that systemd has in memory, and their objects.
pub(super) fn list_units(systemd: &mut Connection) -> io::Result<Vec<(Unit, String)>> {
    let mut listed = systemd.call(&Call {
        destination: SYSTEMD,
        path: MANAGER,
        interface: "org.freedesktop.systemd1.Manager",
        member: "ListUnits",
        arguments: &[],
    })?;
    list(&mut listed).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A property of an object, as a variant.
pub(super) fn property(systemd: &mut Connection, object: &str, interface: &str, name: &str) -> io::Result<Body> {
    systemd.call(&get(object, &[interface, name]))
}

fn get<'a>(object: &'a str, arguments: &'a [&'a str]) -> Call<'a> {
    Call {
        destination: SYSTEMD,
        path: object,
        interface: "org.freedesktop.DBus.Properties",
        member: "Get",
        arguments,
    }
}

fn units(systemd: &mut Connection) -> io::Result<Units> {
    let mut listed = list_units(systemd)?;
    // Services first: where time runs out they are what is asked for most.
    listed.sort_by_key(|(unit, _)| (!unit.name.ends_with(".service"), unit.name.clone()));
    let mut missing = None;
    for some in listed.chunks_mut(AT_ONCE) {
        if let Err(e) = times(systemd, some) {
            missing = Some(format!("times of some units: {e}"));
            break;
        }
    }
    let mut units: Vec<Unit> = listed.into_iter().map(|(unit, _)| unit).collect();
    units.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Units { units, missing })
}

/// Asks when units were last activated, and of those that are not active since when not.
fn times(connection: &mut Connection, units: &mut [(Unit, String)]) -> io::Result<()> {
    let mut asked = Vec::new();
    for (at, (unit, object)) in units.iter().enumerate().filter(|(_, (unit, _))| unit.load == "loaded") {
        let ended = unit.active != "active";
        let properties = ["ActiveEnterTimestamp", "InactiveEnterTimestamp"];
        for property in properties.into_iter().take(if ended { 2 } else { 1 }) {
            let number = connection.ask(&get(object, &[UNIT, property]))?;
            asked.push((number, at, property == properties[1]));
        }
    }
    for (number, at, is_end) in asked {
        let time = match connection.answer(number) {
            Ok(mut value) => microseconds(&mut value).unwrap_or(0).saturating_mul(1000),
            // It went meanwhile.
            Err(e) if e.kind() == io::ErrorKind::Other => 0,
            Err(e) => return Err(e),
        };
        if let Some((unit, _)) = units.get_mut(at) {
            match is_end {
                true => unit.inactive_enter_ts = time,
                false => unit.active_enter_ts = time,
            }
        }
    }
    Ok(())
}

/// `a(ssssssouso)`: name, description, load state, active state, sub state, the unit that it follows, its object; a job's
/// number, kind and object.
fn list(body: &mut Body) -> Option<Vec<(Unit, String)>> {
    let _bytes = body.u32()?;
    let mut units = Vec::new();
    body.align(8);
    while !body.is_at_end() && units.len() < MAX_UNITS {
        body.align(8);
        let unit = Unit {
            name: body.text()?,
            description: body.text()?,
            load: body.text()?,
            active: body.text()?,
            sub: body.text()?,
            ..Unit::default()
        };
        let (_follows, object) = (body.text()?, body.text()?);
        let (_number, _kind, _object) = (body.u32()?, body.text()?, body.text()?);
        units.push((unit, object));
    }
    Some(units)
}

fn microseconds(value: &mut Body) -> Option<u64> {
    match value.signature()?.as_slice() {
        b"t" => value.u64(),
        _ => None,
    }
}
