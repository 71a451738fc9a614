//! Containers: what an event's cgroup says it ran in, and what the engine says about it.

use bincode::{Decode, Encode};

/// A container as it was known when the block was written. A later event or inspect makes a new value.
///
/// Empty strings and `None` mean "not known (yet)"; a first pass over a case fills them from later blocks.
#[derive(Clone, Debug, Default, Eq, Encode, Decode)]
pub struct Container {
    /// The engine's full id (64 hexadecimal digits for Docker). `container.full_id`.
    pub id: String,
    /// `docker`, `podman`, `containerd`, `cri-o`, … as the cgroup path tells. `container.type`.
    pub engine: String,
    /// Name without the leading slash. `container.name`.
    pub name: String,
    /// Image as it was named at creation. `container.image`.
    pub image: String,
    /// Image id. `container.image.id`.
    pub image_id: String,
    /// Repository digest. `container.image.digest`.
    pub image_digest: String,
    /// Labels, sorted by key. `container.label[x]`.
    pub labels: Vec<(String, String)>,
    /// `--privileged`. `container.privileged`.
    pub privileged: Option<bool>,
    /// Mounts. `container.mount.*`.
    pub mounts: Vec<Mount>,
    /// Address on its first network. `container.ip`.
    pub ip: String,
    /// `host` pid, network and ipc namespace, in this order. `container.host_pid` …
    pub host_namespaces: [Option<bool>; 3],
    /// Read-only root file system.
    pub read_only: Option<bool>,
    /// Added capabilities, sorted.
    pub cap_add: Vec<String>,
    /// Creation time, nanoseconds since the Unix epoch; 0 when unknown.
    pub created_ts: u64,
    /// Start time, nanoseconds since the Unix epoch; 0 when unknown. `container.start_ts`.
    pub started_ts: u64,
}

/// One mount of a container. Falco's `container.mount.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[expect(missing_docs, reason = "named as in the engine's API")]
pub struct Mount {
    pub source: String,
    pub dest: String,
    pub mode: String,
    pub rw: bool,
    pub propagation: String,
}

/// Importers compare what each line says of its container with what is known. Most texts are empty, and comparing nothing
/// with nothing costs more than a text.
impl PartialEq for Container {
    fn eq(&self, other: &Container) -> bool {
        let Container {
            id,
            engine,
            name,
            image,
            image_id,
            image_digest,
            labels,
            privileged,
            mounts,
            ip,
            host_namespaces,
            read_only,
            cap_add,
            created_ts,
            started_ts,
        } = self;
        let texts = [
            (id, &other.id),
            (engine, &other.engine),
            (name, &other.name),
            (image, &other.image),
            (image_id, &other.image_id),
            (image_digest, &other.image_digest),
            (ip, &other.ip),
        ];
        (created_ts, started_ts) == (&other.created_ts, &other.started_ts)
            && texts
                .iter()
                .all(|(a, b)| a.len() == b.len() && (a.is_empty() || a == b))
            && (privileged, host_namespaces, read_only) == (&other.privileged, &other.host_namespaces, &other.read_only)
            && *labels == other.labels
            && *mounts == other.mounts
            && *cap_add == other.cap_add
    }
}

impl Container {
    /// The first twelve digits of the id, as `docker ps` shows. `container.id`.
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}
