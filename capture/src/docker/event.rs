//! One event of the engine: the fields that every version has, and its JSON as it came.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ctrace_trace::container::Container;
use serde::Deserialize;
use serde::de::Error as _;

use super::json::nullable;
use crate::json::Reader;

/// Attributes of a container event that the engine adds to the container's labels.
const NOT_LABELS: [&str; 10] = [
    "image",
    "name",
    "exitCode",
    "execID",
    "execDuration",
    "signal",
    "container",
    "podId",
    // Podman's.
    "containerExitCode",
    "containerInspectData",
];

/// An event of the engine's `/events` stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerEvent {
    /// When it happened, by the engine's clock: nanoseconds since the Unix epoch.
    pub ts_ns: u64,
    /// `docker` or `podman`, where that is known; what is imported does not say.
    pub engine: String,
    /// `container`, `image`, `network`, `volume`, `daemon`, …
    pub kind: String,
    /// `start`, `die`, …; some carry a payload after a colon: `exec_create: sh -c …`, `health_status: unhealthy`.
    pub action: String,
    /// The object's id: a container's or network's 64 digits, an image's or volume's name.
    pub id: String,
    /// The object's name; empty where the engine gives none.
    pub name: String,
    /// The container's image; empty for other objects.
    pub image: String,
    /// Exit code, in `die` and `exec_die`.
    pub exit_code: Option<i64>,
    /// The container that it is about: itself, or the one that a network or volume event names.
    pub container: Option<String>,
    /// The labels of the object, sorted by key.
    pub labels: Vec<(String, String)>,
    /// The engine's JSON, whole, without the line end.
    pub raw: Vec<u8>,
}

#[derive(Deserialize)]
struct Json {
    #[serde(rename = "Type", default, deserialize_with = "nullable")]
    kind: String,
    #[serde(rename = "Action", default, deserialize_with = "nullable")]
    action: String,
    #[serde(rename = "Actor", default, deserialize_with = "nullable")]
    actor: Actor,
    #[serde(default, deserialize_with = "nullable")]
    time: u64,
    #[serde(rename = "timeNano", default, deserialize_with = "nullable")]
    time_nano: u64,
}

#[derive(Default, Deserialize)]
struct Actor {
    #[serde(rename = "ID", default, deserialize_with = "nullable")]
    id: String,
    #[serde(rename = "Attributes", default, deserialize_with = "nullable")]
    attributes: BTreeMap<String, String>,
}

/// What a line says.
#[derive(Default)]
struct Told<'a> {
    kind: Cow<'a, str>,
    action: Cow<'a, str>,
    id: Cow<'a, str>,
    /// Sorted by name.
    attributes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    time: u64,
    time_nano: u64,
}

/// Members that must not come twice.
const TYPE: u8 = 1;
const ACTION: u8 = 1 << 1;
const ACTOR: u8 = 1 << 2;
const TIME: u8 = 1 << 3;
const TIME_NANO: u8 = 1 << 4;
const ID: u8 = 1 << 5;
const ATTRIBUTES: u8 = 1 << 6;

impl<'a> Told<'a> {
    fn of(json: Json) -> Told<'a> {
        let attributes = json.actor.attributes.into_iter();
        Told {
            kind: json.kind.into(),
            action: json.action.into(),
            id: json.actor.id.into(),
            attributes: attributes.map(|(name, value)| (name.into(), value.into())).collect(),
            time: json.time,
            time_nano: json.time_nano,
        }
    }

    /// Reads an event in the form that engines write. `None` says nothing of any other.
    fn read(line: &'a [u8]) -> Option<Told<'a>> {
        let (mut told, mut seen) = (Told::default(), 0);
        let mut reader = Reader::new(line)?;
        reader.members(|name, reader| {
            let member = match name {
                "Type" => TYPE,
                "Action" => ACTION,
                "Actor" => ACTOR,
                "time" => TIME,
                "timeNano" => TIME_NANO,
                _ => return reader.skip(),
            };
            once(&mut seen, member)?;
            match member {
                TYPE => told.kind = reader.string_or_null()?,
                ACTION => told.action = reader.string_or_null()?,
                ACTOR => told.read_actor(reader)?,
                TIME => told.time = reader.number_or_null()?,
                _ => told.time_nano = reader.number_or_null()?,
            }
            Some(())
        })?;
        reader.end()?;
        Some(told)
    }

    fn read_actor(&mut self, reader: &mut Reader<'a>) -> Option<()> {
        let mut seen = 0;
        reader.members(|name, reader| match name {
            "ID" => {
                once(&mut seen, ID)?;
                self.id = reader.string_or_null()?;
                Some(())
            }
            "Attributes" => {
                once(&mut seen, ATTRIBUTES)?;
                reader.members(|name, reader| {
                    // Nearly every value is plain, and is not stored on its way.
                    match reader.plain() {
                        Some(value) => self.attributes.extend(Some((name.into(), value.into()))),
                        None => self.attributes.push((name.into(), reader.string()?)),
                    }
                    Some(())
                })
            }
            _ => reader.skip(),
        })?;
        // Engines write them in order.
        if self.attributes.windows(2).all(|pair| pair[0].0 < pair[1].0) {
            return Some(());
        }
        self.attributes.sort_unstable();
        let twice = self.attributes.windows(2).any(|pair| pair[0].0 == pair[1].0);
        (!twice).then_some(())
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        let mut all = self.attributes.iter();
        all.find_map(|(n, value)| (n == name).then_some(&**value))
    }
}

fn once(seen: &mut u8, member: u8) -> Option<()> {
    let is_first = *seen & member == 0;
    *seen |= member;
    is_first.then_some(())
}

impl DockerEvent {
    /// Reads one line of the stream.
    pub fn parse(line: &[u8]) -> Result<DockerEvent, serde_json::Error> {
        // What an engine writes has the types that it should have; of anything else serde says what is wrong.
        let told = match Told::read(line) {
            Some(told) => told,
            None => Told::of(serde_json::from_slice(line)?),
        };
        // A derived reader takes an array for an object, and an empty object lacks all that makes an event.
        if !line.trim_ascii_start().starts_with(b"{") || told.kind.is_empty() || told.time.max(told.time_nano) == 0 {
            return Err(serde_json::Error::custom("not an event: no type or no time"));
        }
        Ok(DockerEvent::of(told, line.to_vec()))
    }

    /// An event that was told in another form. `attributes` come in any order, each once; `raw` is the engine's JSON for
    /// it.
    pub(crate) fn told<'a>(
        ts_ns: u64,
        [kind, action, id]: [&'a str; 3],
        mut attributes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
        raw: Vec<u8>,
    ) -> DockerEvent {
        attributes.sort_unstable();
        let told = Told {
            kind: kind.into(),
            action: action.into(),
            id: id.into(),
            attributes,
            time: 0,
            time_nano: ts_ns,
        };
        DockerEvent::of(told, raw)
    }

    fn of(told: Told<'_>, raw: Vec<u8>) -> DockerEvent {
        let is_container = told.kind == "container";
        let container = if is_container {
            Some(&*told.id)
        } else {
            told.attribute("container")
        };
        let attribute = |name: &str| told.attribute(name).unwrap_or_default().to_owned();
        let labels = told
            .attributes
            .iter()
            .filter(|(name, _)| !NOT_LABELS.contains(&&**name));
        DockerEvent {
            engine: String::new(),
            ts_ns: match told.time_nano {
                0 => told.time.saturating_mul(1_000_000_000),
                ns => ns,
            },
            name: attribute("name"),
            image: if is_container {
                attribute("image")
            } else {
                String::new()
            },
            exit_code: told.attribute("exitCode").and_then(|v| v.parse().ok()),
            container: container.filter(|id| !id.is_empty()).map(str::to_owned),
            labels: labels
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            kind: told.kind.into_owned(),
            action: told.action.into_owned(),
            id: told.id.into_owned(),
            raw,
        }
    }

    /// The action without its payload.
    pub fn verb(&self) -> &str {
        self.action.split(':').next().unwrap_or_default()
    }

    /// What the event alone says about its container: for one that is gone before it can be inspected.
    pub(crate) fn as_container(&self, engine: &str) -> Container {
        Container {
            id: self.id.clone(),
            engine: engine.to_owned(),
            name: self.name.clone(),
            image: self.image.clone(),
            labels: self.labels.clone(),
            ..Container::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_event() {
        let line = br#"{"status":"die","id":"05df","from":"lab/busybox:1","Type":"container","Action":"die","Actor":{"ID":"05df","Attributes":{"exitCode":"137","image":"lab/busybox:1","name":"web","app":"shop"}},"scope":"local","time":1795216600,"timeNano":1795216600569324114}"#;
        let event = DockerEvent::parse(line).expect("well-formed");
        assert_eq!(event.ts_ns, 1_795_216_600_569_324_114);
        assert_eq!((event.kind.as_str(), event.action.as_str()), ("container", "die"));
        assert_eq!((event.name.as_str(), event.image.as_str()), ("web", "lab/busybox:1"));
        assert_eq!(event.exit_code, Some(137));
        assert_eq!(event.container.as_deref(), Some("05df"));
        assert_eq!(event.labels, [("app".to_owned(), "shop".to_owned())]);
        assert_eq!(event.raw, line);
    }

    #[test]
    fn a_network_event_names_its_container() {
        let line = br#"{"Type":"network","Action":"connect","Actor":{"ID":"4010","Attributes":{"container":"f7cd","name":"bridge","type":"bridge"}},"time":12}"#;
        let event = DockerEvent::parse(line).expect("well-formed");
        assert_eq!((event.id.as_str(), event.container.as_deref()), ("4010", Some("f7cd")));
        assert_eq!((event.name.as_str(), event.image.as_str()), ("bridge", ""));
        assert_eq!(event.ts_ns, 12_000_000_000);
    }

    #[test]
    fn payload_null_and_missing_fields() {
        let event =
            DockerEvent::parse(br#"{"Type":"container","Action":"exec_create: sh -c id","Actor":null,"time":1}"#);
        let event = event.expect("all but type and time have a default");
        assert_eq!(event.verb(), "exec_create");
        assert_eq!((event.id.as_str(), event.container), ("", None));
    }

    #[test]
    fn other_json_is_an_error() {
        for line in [
            &b"[]"[..],
            b"{",
            b"{\"Type\":7}",
            b"\"container\"",
            b"{\"timeNano\":-1}",
        ] {
            assert!(DockerEvent::parse(line).is_err(), "{}", String::from_utf8_lossy(line));
        }
    }
}
