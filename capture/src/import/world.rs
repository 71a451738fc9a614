//! Processes and containers that the records of a log told of.

use std::borrow::Cow;
use std::sync::Arc;

use ctrace_trace::container::Container;
use ctrace_trace::process::ProcessImage;
use ctrace_trace::scan::same_text;
use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;

use super::processes::{Processes, Seen};
use crate::docker::ContainerImages;

/// What a record says of its container; empty where it says nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct SeenContainer<'a> {
    pub(super) id: &'a str,
    pub(super) engine: &'a str,
    pub(super) name: &'a str,
    pub(super) image: Cow<'a, str>,
    pub(super) image_digest: &'a str,
    /// Sorted by key.
    pub(super) labels: Vec<(&'static str, &'a str)>,
    /// Nanoseconds since the Unix epoch; 0 where it is not told.
    pub(super) started_ts: u64,
}

/// Where the text of a Kubernetes pod goes: among the labels that its container has.
const POD_LABELS: [&str; 3] = [
    "io.kubernetes.pod.name",
    "io.kubernetes.pod.namespace",
    "io.kubernetes.pod.uid",
];

/// Labels of a pod's name, namespace and uid, of those that are told.
pub(super) fn pod_labels(told: [&str; 3]) -> Vec<(&'static str, &str)> {
    let all = POD_LABELS.into_iter().zip(told);
    all.filter(|(_, value)| !value.is_empty()).collect()
}

impl SeenContainer<'_> {
    /// Whether a container is what such a record made of it. Most records tell what was told before, and make nothing.
    fn is(&self, known: &Container) -> bool {
        let labels = known.labels.iter().map(|(key, value)| (&**key, &**value));
        let same = |seen: &str, known: &str| same_text(seen.as_bytes(), known.as_bytes());
        self.labels.len() == known.labels.len()
            && self.started_ts == known.started_ts
            && same(self.id, &known.id)
            && same(self.engine, &known.engine)
            && same(self.name, &known.name)
            && same(&self.image, &known.image)
            && same(self.image_digest, &known.image_digest)
            && self.labels.iter().copied().eq(labels)
    }

    fn container(&self) -> Container {
        let labels = self.labels.iter();
        Container {
            id: self.id.to_owned(),
            engine: self.engine.to_owned(),
            name: self.name.to_owned(),
            image: self.image.to_string(),
            image_digest: self.image_digest.to_owned(),
            labels: labels
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            started_ts: self.started_ts,
            ..Container::default()
        }
    }
}

/// No more containers than this are remembered.
const MAX_CONTAINERS: usize = 65_536;

/// Processes and containers that records told of.
#[derive(Default)]
pub(super) struct World {
    pub(super) processes: Processes,
    containers: HashMap<String, Arc<Container>>,
    images: ContainerImages,
}

impl World {
    /// The process of a record, or what stands for its container.
    pub(super) fn image<'a>(
        &'a mut self,
        seen: Option<Seen<'_>>,
        container: Option<SeenContainer<'_>>,
    ) -> Option<&'a Arc<ProcessImage>> {
        let container = container.filter(|c| !c.id.is_empty());
        let container = container.map(|c| learn(&mut self.containers, &c));
        match (seen, container) {
            (Some(mut seen), container) => {
                seen.container = container;
                Some(self.processes.see(&seen))
            }
            (None, Some(container)) => {
                if self.images.get(&container.id) != Some(container) {
                    self.images.learn(container);
                }
                self.images.get_image(&container.id)
            }
            (None, None) => None,
        }
    }
}

/// The container that a record tells of.
fn learn<'a>(known: &'a mut HashMap<String, Arc<Container>>, seen: &SeenContainer<'_>) -> &'a Arc<Container> {
    if known.len() >= MAX_CONTAINERS && !known.get(seen.id).is_some_and(|known| seen.is(known)) {
        known.clear();
    }
    match known.entry_ref(seen.id) {
        EntryRef::Occupied(known) if seen.is(known.get()) => known.into_mut(),
        entry => entry.insert(Arc::new(seen.container())).into_mut(),
    }
}
