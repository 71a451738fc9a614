//! Certificates: digests of everything that a replay depends on and of what it gave, so that anybody can check that the
//! same case and rules give the same alerts. The format is described in `docs/rules.md`.

use std::collections::BTreeMap;
use std::fmt::Write;

use ctrace_trace::case::Case;
use ctrace_trace::segment::VERSION;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use crate::alert::Alert;
use crate::engine::{Matching, Options};
use crate::rules::{ENGINE_VERSION, LoadOptions, Priority};

/// Number of the certificate's format.
const FORMAT: u64 = 1;

/// So many marks are kept at most: with more alerts they stand further apart.
const MAX_MARKS: usize = 4096;

/// Digests the alerts of a replay as they come.
#[derive(Clone, Debug)]
pub struct AlertDigest {
    hash: Sha256,
    count: u64,
    /// Alerts from one mark to the next.
    step: u64,
    /// The beginning of the digest of all alerts so far, after every `step` alerts.
    marks: Vec<String>,
}

impl Default for AlertDigest {
    fn default() -> AlertDigest {
        AlertDigest {
            hash: Sha256::new(),
            count: 0,
            step: 1,
            marks: Vec::new(),
        }
    }
}

impl AlertDigest {
    /// Adds the next alert: its JSON and a line feed.
    pub fn add(&mut self, alert: &Alert) {
        self.hash.update(alert.json());
        self.hash.update("\n");
        self.count += 1;
        if !self.count.is_multiple_of(self.step) {
            return;
        }
        let so_far = hex(&self.hash.clone().finalize());
        self.marks.push(so_far.get(..16).unwrap_or("").to_owned());
        if self.marks.len() > MAX_MARKS {
            self.step *= 2;
            let mut odd = true;
            self.marks.retain(|_| {
                odd = !odd;
                odd
            });
        }
    }

    fn json(&self) -> Json {
        json!({
            "count": self.count,
            "sha256": hex(&self.hash.clone().finalize()),
            "marks_every": self.step,
            "marks": self.marks,
        })
    }
}

/// What a replay depended on and what it gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate(Json);

/// A certificate that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It is not JSON.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is something else, or of another version.
    #[error("no certificate of format {FORMAT}: {0}")]
    Format(&'static str),
}

impl Certificate {
    /// The certificate of a replay. `segments` are the SHA-256 of the case's segment files in order, `rules` the names
    /// and texts of the rules files in the order of loading, `idle` what [`crate::Engine::idle`] says.
    pub fn new(
        case: &Case,
        segments: &[[u8; 32]],
        rules: &[(String, String)],
        load: &LoadOptions,
        options: &Options,
        idle: &BTreeMap<String, u64>,
        alerts: &AlertDigest,
    ) -> Certificate {
        let segment = |(number, digest): (u32, &[u8; 32])| json!({ "segment": number, "sha256": hex(digest) });
        let numbers = case.segments().iter().map(|s| s.number());
        let rules: Vec<Json> = rules
            .iter()
            .map(|(name, text)| {
                // Where the file lies is no part of what was replayed.
                let name = name.rsplit('/').next().unwrap_or(name);
                json!({ "name": name, "sha256": hex(&Sha256::digest(text)) })
            })
            .collect();
        let (major, minor, patch) = ENGINE_VERSION;
        Certificate(json!({
            "ctrace_certificate": FORMAT,
            "case": {
                "id": case.id().map(|id| hex(&id.0)),
                "segments": numbers.zip(segments).map(segment).collect::<Vec<_>>(),
            },
            "rules": rules,
            "engine": {
                "ctrace": env!("CARGO_PKG_VERSION"),
                "rules_engine": format!("{major}.{minor}.{patch}"),
                "trace_format": VERSION,
                "schemas_sha256": schemas(case),
            },
            "options": {
                "matching": match options.matching { Matching::First => "first", Matching::All => "all" },
                "resolve": if options.resolve_late { "case" } else { "recorded" },
                "priority": load.min_priority.map(Priority::name),
                "tags": load.tags,
                "without_tags": load.without_tags,
                "disable": load.disable,
                "enable": load.enable,
                "placeholders": load.placeholders,
            },
            // What follows from case and rules; for those who read it.
            "rules_without_events": idle,
            "alerts": alerts.json(),
        }))
    }

    /// Reads a certificate.
    ///
    /// # Errors
    /// Where the text is none.
    pub fn parse(text: &str) -> Result<Certificate, CertificateError> {
        let json: Json = serde_json::from_str(text)?;
        if json.get("ctrace_certificate").and_then(Json::as_u64) != Some(FORMAT) {
            return Err(CertificateError::Format(
                "the key 'ctrace_certificate' is missing or another",
            ));
        }
        for key in ["case", "rules", "engine", "options", "alerts"] {
            if json.get(key).is_none() {
                return Err(CertificateError::Format("a part is missing"));
            }
        }
        Ok(Certificate(json))
    }

    /// Its text: indented JSON that ends with a line feed.
    pub fn text(&self) -> String {
        format!("{:#}\n", self.0)
    }

    /// The options that the replay was made with.
    ///
    /// # Errors
    /// Where one of them has no meaning.
    pub fn options(&self) -> Result<(LoadOptions, Options), CertificateError> {
        let wrong = CertificateError::Format;
        let option = |key: &str| self.0.get("options").and_then(|o| o.get(key));
        let strings = |key: &str| -> Option<Vec<String>> {
            let items = option(key)?.as_array()?.iter();
            items.map(|s| s.as_str().map(str::to_owned)).collect()
        };
        let load = LoadOptions {
            min_priority: match option("priority") {
                None | Some(Json::Null) => None,
                Some(name) => Some(
                    name.as_str()
                        .and_then(Priority::parse)
                        .ok_or(wrong("an unknown priority"))?,
                ),
            },
            tags: strings("tags").ok_or(wrong("'tags' is no list of texts"))?,
            without_tags: strings("without_tags").ok_or(wrong("'without_tags' is no list of texts"))?,
            disable: strings("disable").ok_or(wrong("'disable' is no list of texts"))?,
            enable: strings("enable").ok_or(wrong("'enable' is no list of texts"))?,
            placeholders: option("placeholders")
                .and_then(placeholders)
                .ok_or(wrong("'placeholders' does not map names to lists of texts"))?,
        };
        let options = Options {
            matching: match option("matching").and_then(Json::as_str) {
                Some("first") => Matching::First,
                Some("all") => Matching::All,
                _ => return Err(wrong("an unknown 'matching'")),
            },
            resolve_late: match option("resolve").and_then(Json::as_str) {
                Some("case") => true,
                Some("recorded") => false,
                _ => return Err(wrong("an unknown 'resolve'")),
            },
            ..Options::default()
        };
        Ok((load, options))
    }

    /// The first thing in which a replay differs from this certificate, in the order case, rules, engine, options,
    /// alerts; nothing when it is the same.
    pub fn first_difference(&self, found: &Certificate) -> Option<String> {
        for part in ["case", "rules", "engine", "options"] {
            if let Some(difference) = differs(part, self.0.get(part)?, found.0.get(part)?) {
                return Some(difference);
            }
        }
        alerts_differ(self.0.get("alerts")?, found.0.get("alerts")?)
    }
}

fn placeholders(json: &Json) -> Option<BTreeMap<String, Vec<String>>> {
    let texts = |list: &Json| -> Option<Vec<String>> {
        let items = list.as_array()?.iter();
        items.map(|s| s.as_str().map(str::to_owned)).collect()
    };
    let pairs = json.as_object()?.iter();
    pairs.map(|(name, list)| Some((name.clone(), texts(list)?))).collect()
}

/// The first place where two values differ.
fn differs(path: &str, claimed: &Json, found: &Json) -> Option<String> {
    match (claimed, found) {
        (Json::Object(a), Json::Object(b)) => first_key(path, a, b),
        (Json::Array(a), Json::Array(b)) => {
            let pairs = a.iter().zip(b).enumerate();
            let inner = pairs
                .filter_map(|(i, (a, b))| differs(&format!("{path}[{i}]"), a, b))
                .next();
            inner.or_else(|| {
                (a.len() != b.len()).then(|| format!("{path}: the certificate has {}, here are {}", a.len(), b.len()))
            })
        }
        _ if claimed == found => None,
        _ => Some(format!("{path}: the certificate says {claimed}, here it is {found}")),
    }
}

fn first_key(path: &str, claimed: &Map<String, Json>, found: &Map<String, Json>) -> Option<String> {
    let missing = claimed.keys().chain(found.keys());
    for key in missing {
        let (a, b) = (
            claimed.get(key).unwrap_or(&Json::Null),
            found.get(key).unwrap_or(&Json::Null),
        );
        if let Some(difference) = differs(&format!("{path}.{key}"), a, b) {
            return Some(difference);
        }
    }
    None
}

/// Where two lists of alerts part.
fn alerts_differ(claimed: &Json, found: &Json) -> Option<String> {
    let text = |json: &Json, key: &str| json.get(key).and_then(Json::as_str).unwrap_or("").to_owned();
    let number = |json: &Json, key: &str| json.get(key).and_then(Json::as_u64).unwrap_or(0);
    if text(claimed, "sha256") == text(found, "sha256") && number(claimed, "count") == number(found, "count") {
        return None;
    }
    let counts = format!(
        "alerts: the certificate has {}, here are {}",
        number(claimed, "count"),
        number(found, "count")
    );
    let (a, b) = (
        number(claimed, "marks_every").max(1),
        number(found, "marks_every").max(1),
    );
    // Steps are powers of two: the marks of the larger stand in both.
    let step = a.max(b);
    let mark = |json: &Json, own: u64, nth: u64| -> Option<String> {
        let at = (nth * (step / own)).checked_sub(1)?;
        let marks = json.get("marks")?.as_array()?;
        Some(marks.get(usize::try_from(at).ok()?)?.as_str()?.to_owned())
    };
    let mut nth = 1;
    while let (Some(x), Some(y)) = (mark(claimed, a, nth), mark(found, b, nth)) {
        if x != y {
            break;
        }
        nth += 1;
    }
    let (first, last) = ((nth - 1) * step + 1, nth * step);
    let place = if step == 1 {
        format!("the first that differs is alert {first}")
    } else {
        format!("the first that differs is one of alerts {first} – {last}")
    };
    Some(format!("{counts}; {place}"))
}

/// Digest of the event types that the case's segments declare: what a field means depends on them.
fn schemas(case: &Case) -> String {
    let mut hash = Sha256::new();
    for segment in case.segments() {
        for spec in segment.header().schema.specs() {
            hash.update(format!("{spec:?}\n"));
        }
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, b| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{b:02x}");
        out
    })
}
