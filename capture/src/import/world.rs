//! Processes and containers that the records of a log told of.

use std::borrow::Cow;
use std::sync::Arc;

use ctrace_trace::container::Container;
use ctrace_trace::process::ProcessImage;
use hashbrown::HashMap;

use super::processes::{Processes, Seen, same_text};
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
}

impl SeenContainer<'_> {
    /// Whether a container is what such a record made of it. Most records tell what was told before, and make nothing.
    fn is(&self, known: &Container) -> bool {
        let labels = known.labels.iter().map(|(key, value)| (&**key, &**value));
        let same = |seen: &str, known: &str| same_text(seen.as_bytes(), known.as_bytes());
        self.labels.len() == known.labels.len()
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
    pub(super) fn image(
        &mut self,
        seen: Option<Seen<'_>>,
        container: Option<SeenContainer<'_>>,
    ) -> Option<Arc<ProcessImage>> {
        let container = container.filter(|c| !c.id.is_empty()).map(|c| self.learn(&c));
        match (seen, container) {
            (Some(mut seen), container) => {
                seen.container = container;
                Some(self.processes.see(&seen))
            }
            (None, Some(container)) => {
                if self.images.get(&container.id) != Some(&container) {
                    self.images.learn(&container);
                }
                self.images.get_image(&container.id)
            }
            (None, None) => None,
        }
    }

    fn learn(&mut self, seen: &SeenContainer<'_>) -> Arc<Container> {
        if let Some(known) = self.containers.get(seen.id).filter(|known| seen.is(known)) {
            return known.clone();
        }
        if self.containers.len() >= MAX_CONTAINERS {
            self.containers.clear();
        }
        let container = Arc::new(seen.container());
        self.containers.insert(container.id.clone(), container.clone());
        container
    }
}
