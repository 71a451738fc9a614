//! Containers in the files of containers/storage, which Podman and CRI-O keep also where no service answers.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use ctrace_trace::container::Container;
use serde::Deserialize;

use super::procfs::read_in_root;
use crate::docker::parse_rfc3339;

/// Largest file that is read: some three thousand containers. It may be any user's.
const MAX_STORED: u64 = 2 << 20;

#[derive(Deserialize)]
struct Stored {
    id: String,
    #[serde(default)]
    image: String,
    #[serde(default)]
    created: String,
    /// A JSON text of its own.
    #[serde(default)]
    metadata: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    #[serde(rename = "image-name")]
    image_name: String,
    name: String,
}

/// What is stored of a container, whose monitor's command line names its folder (`STORE/overlay-containers/ID/userdata`).
/// The path is as that process sees it, or as the host does where it has ended: what ran for a moment is asked for after
/// that.
pub(crate) fn read_stored(monitor: u32, bundle: &[u8], id: &str) -> Option<Container> {
    let rest = bundle.strip_suffix(b"/userdata")?.strip_suffix(id.as_bytes())?;
    let seen = PathBuf::from(format!("/proc/{monitor}/root"));
    let root = if seen.exists() { &seen } else { Path::new("/") };
    // Those that end with the engine's own run are kept apart.
    let files = [&b"containers.json"[..], b"volatile-containers.json"];
    files.iter().find_map(|file| {
        let path = CString::new([rest, file].concat()).ok()?;
        find(&read_in_root(root, &path, MAX_STORED)?, id)
    })
}

fn find(json: &[u8], id: &str) -> Option<Container> {
    let all: Vec<Stored> = serde_json::from_slice(json).ok()?;
    let stored = all.into_iter().find(|stored| stored.id == id)?;
    let metadata: Metadata = serde_json::from_str(&stored.metadata).unwrap_or_default();
    Some(Container {
        id: stored.id,
        name: metadata.name,
        image: metadata.image_name,
        image_id: stored.image,
        created_ts: parse_rfc3339(&stored.created).unwrap_or(0),
        ..Container::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_found_by_its_id() {
        let json = br#"[{"id":"a","names":["x"]},{"id":"b","names":["web"],"image":"3c5d","layer":"efee",
            "metadata":"{\"image-name\":\"localhost/busybox:latest\",\"image-id\":\"3c5d\",\"name\":\"web\",\"created-at\":1}",
            "created":"2026-11-21T20:29:30.927523579Z","flags":{"Volatile":true}}]"#;
        let found = find(json, "b").expect("it is there");
        assert_eq!(
            (found.name.as_str(), found.image.as_str(), found.image_id.as_str()),
            ("web", "localhost/busybox:latest", "3c5d")
        );
        assert_eq!(found.created_ts, 1_795_292_970_927_523_579);
        assert_eq!(find(json, "a").map(|c| c.name), Some(String::new()), "without metadata");
        assert_eq!(find(json, "c"), None);
        assert_eq!(find(&json[..100], "b"), None, "cut");
    }

    #[test]
    fn only_the_containers_own_folder_leads_to_the_store() {
        let me = std::process::id();
        for bundle in ["", "/userdata", "/store/other/userdata", "relative"] {
            assert_eq!(read_stored(me, bundle.as_bytes(), "b"), None, "{bundle}");
        }
    }
}
