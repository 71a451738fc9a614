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
const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "/org/freedesktop/systemd1";
/// All answers must have come by then: whoever reads the state of the host waits.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Most units that are kept.
const MAX_UNITS: usize = 50_000;

/// What systemd says of its units; `None` where there is no systemd.
pub(super) fn read_units() -> Option<io::Result<Vec<Unit>>> {
    if !Path::new(PRIVATE).exists() && !Path::new("/run/systemd/system").exists() {
        return None;
    }
    let private = Connection::open(Path::new(PRIVATE), PATIENCE).and_then(|mut c| units(&mut c));
    Some(private.or_else(|_| {
        let mut bus = Connection::open(Path::new(BUS), PATIENCE)?;
        // Whoever does not say so gets nothing from a bus.
        bus.call(&Call {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "Hello",
            arguments: &[],
        })?;
        units(&mut bus)
    }))
}

fn units(connection: &mut Connection) -> io::Result<Vec<Unit>> {
    let mut listed = connection.call(&Call {
        destination: SYSTEMD,
        path: MANAGER,
        interface: "org.freedesktop.systemd1.Manager",
        member: "ListUnits",
        arguments: &[],
    })?;
    let mut units = list(&mut listed).ok_or(io::ErrorKind::InvalidData)?;
    for (unit, object) in &mut units {
        for (property, time) in [
            ("ActiveEnterTimestamp", &mut unit.active_enter_ts),
            ("InactiveEnterTimestamp", &mut unit.inactive_enter_ts),
        ] {
            // A unit that went meanwhile has no times; a connection that broke has none for all that follow.
            match connection.call(&Call {
                destination: SYSTEMD,
                path: object,
                interface: "org.freedesktop.DBus.Properties",
                member: "Get",
                arguments: &["org.freedesktop.systemd1.Unit", property],
            }) {
                Ok(mut value) => *time = microseconds(&mut value).unwrap_or(0).saturating_mul(1000),
                Err(e) if e.kind() == io::ErrorKind::Other => {}
                Err(e) => return Err(e),
            }
        }
    }
    let mut units: Vec<Unit> = units.into_iter().map(|(unit, _)| unit).collect();
    units.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(units)
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
