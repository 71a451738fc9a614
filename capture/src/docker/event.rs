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

/// An event of the engine's `/events` stream. Its texts are those of the line that it was read from, where they are not
/// to be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerEvent<'a> {
    /// When it happened, by the engine's clock: nanoseconds since the Unix epoch.
    pub ts_ns: u64,
    /// `docker` or `podman`, where that is known; what is imported does not say.
    pub engine: Cow<'a, str>,
    /// `container`, `image`, `network`, `volume`, `daemon`, …
    pub kind: Cow<'a, str>,
    /// `start`, `die`, …; some carry a payload after a colon: `exec_create: sh -c …`, `health_status: unhealthy`.
    pub action: Cow<'a, str>,
    /// The object's id: a container's or network's 64 digits, an image's or volume's name.
    pub id: Cow<'a, str>,
    /// What else is told of it, sorted by name.
    pub(super) attributes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The engine's JSON, whole, without the line end.
    pub raw: Cow<'a, [u8]>,
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

/// Room for the attributes of most events.
const USUAL_ATTRIBUTES: usize = 8;

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
                self.attributes.reserve(USUAL_ATTRIBUTES);
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
}

fn once(seen: &mut u8, member: u8) -> Option<()> {
    let is_first = *seen & member == 0;
    *seen |= member;
    is_first.then_some(())
}

impl<'a> DockerEvent<'a> {
    /// Reads one line of the stream.
    pub fn parse(line: &'a [u8]) -> Result<DockerEvent<'a>, serde_json::Error> {
        // What an engine writes has the types that it should have; of anything else serde says what is wrong.
        let told = match Told::read(line) {
            Some(told) => told,
            None => Told::of(serde_json::from_slice(line)?),
        };
        // A derived reader takes an array for an object, and an empty object lacks all that makes an event.
        if !line.trim_ascii_start().starts_with(b"{") || told.kind.is_empty() || told.time.max(told.time_nano) == 0 {
            return Err(serde_json::Error::custom("not an event: no type or no time"));
        }
        Ok(DockerEvent::of(told, line.into()))
    }

    /// An event that was told in another form. `attributes` are sorted by name, each once; `raw` is the engine's JSON for
    /// it.
    pub(crate) fn told(
        ts_ns: u64,
        [kind, action, id]: [&'a str; 3],
        attributes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
        raw: &'a [u8],
    ) -> DockerEvent<'a> {
        let told = Told {
            kind: kind.into(),
            action: action.into(),
            id: id.into(),
            attributes,
            time: 0,
            time_nano: ts_ns,
        };
        DockerEvent::of(told, raw.into())
    }

    fn of(told: Told<'a>, raw: Cow<'a, [u8]>) -> DockerEvent<'a> {
        DockerEvent {
            ts_ns: match told.time_nano {
                0 => told.time.saturating_mul(1_000_000_000),
                ns => ns,
            },
            engine: Cow::default(),
            kind: told.kind,
            action: told.action,
            id: told.id,
            attributes: told.attributes,
            raw,
        }
    }

    /// The same, without its line.
    pub fn into_owned(self) -> DockerEvent<'static> {
        let owned = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        let attributes = self.attributes.into_iter();
        DockerEvent {
            ts_ns: self.ts_ns,
            engine: owned(self.engine),
            kind: owned(self.kind),
            action: owned(self.action),
            id: owned(self.id),
            attributes: attributes.map(|(name, value)| (owned(name), owned(value))).collect(),
            raw: Cow::Owned(self.raw.into_owned()),
        }
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        let mut all = self.attributes.iter();
        all.find_map(|(n, value)| (n == name).then_some(&**value))
    }

    /// The object's name; empty where the engine gives none.
    pub fn name(&self) -> &str {
        self.attribute("name").unwrap_or_default()
    }

    /// The container's image; empty for other objects.
    pub fn image(&self) -> &str {
        let image = self.attribute("image").filter(|_| self.kind == "container");
        image.unwrap_or_default()
    }

    /// Exit code, in `die` and `exec_die`.
    pub fn exit_code(&self) -> Option<i64> {
        self.attribute("exitCode")?.parse().ok()
    }

    /// The container that it is about: itself, or the one that a network or volume event names.
    pub fn container(&self) -> Option<&str> {
        let container = match self.kind == "container" {
            true => Some(&*self.id),
            false => self.attribute("container"),
        };
        container.filter(|id| !id.is_empty())
    }

    /// The labels of the object, sorted by key.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.attributes.iter().map(|(name, value)| (&**name, &**value));
        all.filter(|(name, _)| !NOT_LABELS.contains(name))
    }

    /// The action without its payload.
    pub fn verb(&self) -> &str {
        self.action.split(':').next().unwrap_or_default()
    }

    /// What the event alone says about its container: for one that is gone before it can be inspected.
    pub(crate) fn as_container(&self, engine: &str) -> Container {
        let labels = self.labels();
        Container {
            id: self.id.to_string(),
            engine: engine.to_owned(),
            name: self.name().to_owned(),
            image: self.image().to_owned(),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
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
        assert_eq!((&*event.kind, &*event.action), ("container", "die"));
        assert_eq!((event.name(), event.image()), ("web", "lab/busybox:1"));
        assert_eq!(event.exit_code(), Some(137));
        assert_eq!(event.container(), Some("05df"));
        assert!(event.labels().eq([("app", "shop")]));
        assert_eq!(*event.raw, *line);
        assert_eq!(event.clone().into_owned(), event);
    }

    #[test]
    fn a_network_event_names_its_container() {
        let line = br#"{"Type":"network","Action":"connect","Actor":{"ID":"4010","Attributes":{"container":"f7cd","name":"bridge","type":"bridge"}},"time":12}"#;
        let event = DockerEvent::parse(line).expect("well-formed");
        assert_eq!((&*event.id, event.container()), ("4010", Some("f7cd")));
        assert_eq!((event.name(), event.image()), ("bridge", ""));
        assert_eq!(event.ts_ns, 12_000_000_000);
    }

    #[test]
    fn payload_null_and_missing_fields() {
        let event =
            DockerEvent::parse(br#"{"Type":"container","Action":"exec_create: sh -c id","Actor":null,"time":1}"#);
        let event = event.expect("all but type and time have a default");
        assert_eq!(event.verb(), "exec_create");
        assert_eq!((&*event.id, event.container()), ("", None));
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
