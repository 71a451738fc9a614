//! Process images that stand for a container as a whole, for events that name a container and no process.

use std::collections::BTreeMap;
use std::sync::Arc;

use ctrace_trace::container::Container;
use ctrace_trace::process::ProcessImage;

use super::event::DockerEvent;

/// Images that stand for "some process of this container": what an engine's event refers to.
#[derive(Debug, Default)]
pub(crate) struct ContainerImages {
    by_id: BTreeMap<String, Arc<ProcessImage>>,
    made: u64,
}

/// Ids of these images are taken from the end of the range, far from those that the resolver gives.
const FIRST_ID: u64 = 1 << 63;
/// No more containers than this are remembered.
const MAX_CONTAINERS: usize = 65_536;

impl ContainerImages {
    /// Takes over what is known of a container.
    pub(crate) fn learn(&mut self, container: &Arc<Container>) {
        if self.by_id.len() >= MAX_CONTAINERS {
            self.by_id.pop_first();
        }
        self.made += 1;
        let image = ProcessImage {
            id: FIRST_ID + self.made,
            container: Some(container.clone()),
            loginuid: u32::MAX,
            ..ProcessImage::default()
        };
        self.by_id.insert(container.id.clone(), Arc::new(image));
    }

    /// Every container that an engine told of.
    pub(crate) fn containers(&self) -> Vec<Container> {
        self.by_id
            .values()
            .filter_map(|image| image.container.as_deref().cloned())
            .collect()
    }

    /// The image for an event of the engine: that of the container that it names.
    pub(crate) fn of_event(&mut self, event: &DockerEvent<'_>) -> Option<&Arc<ProcessImage>> {
        let id = event.container()?;
        if !self.by_id.contains_key(id) {
            self.learn(&Arc::new(told_of(event, id)));
        }
        self.by_id.get(id)
    }

    /// The image of a container that was learned.
    pub(crate) fn get_image(&self, id: &str) -> Option<&Arc<ProcessImage>> {
        self.by_id.get(id)
    }

    /// What is known of a container.
    pub(crate) fn get(&self, id: &str) -> Option<&Arc<Container>> {
        self.by_id.get(id)?.container.as_ref()
    }
}

/// A container as an event names it. The inspection may still be under way; the event itself tells the most important.
fn told_of(event: &DockerEvent<'_>, id: &str) -> Container {
    Container {
        id: id.to_owned(),
        engine: match &*event.engine {
            "" => "docker".to_owned(),
            engine => engine.to_owned(),
        },
        name: event.name().to_owned(),
        image: event.image().to_owned(),
        ..Container::default()
    }
}
