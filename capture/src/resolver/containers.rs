//! From the id of a cgroup to the container that runs in it.

use std::collections::VecDeque;
use std::sync::Arc;

use ctrace_trace::container::Container;
use ctrace_trace::process::ProcessImage;
use hashbrown::HashMap;

use super::spare::set;
use crate::host::container_of;

/// Most cgroups, and most containers, that are kept; the oldest are forgotten first.
const MAX_KEPT: usize = 16_384;
/// Most bytes of the paths of cgroups: enough for that many of usual length.
const MAX_PATHS: usize = 16 << 20;

/// A cgroup as images carry it.
#[derive(Clone, Debug, Default)]
pub(super) struct Cgroup {
    pub(super) path: Arc<[u8]>,
    pub(super) container: Option<Arc<Container>>,
}

impl Cgroup {
    /// Puts an image into this cgroup; `false` when that says nothing new.
    ///
    /// The root says nothing of a process that was in a container: beside cgroups of version 1 all processes are in it,
    /// and one that moves itself there has not left its container by that. One that stays in its cgroup stays in the
    /// container that something else showed, too.
    pub(super) fn place(&self, image: &mut ProcessImage) -> bool {
        let leaves = self.container.is_none() && image.container.is_some();
        let same = image.cgroup == *self.path && (self.container.is_none() || image.container == self.container);
        if self.path.is_empty() || same || leaves && *self.path == *b"/" {
            return false;
        }
        set(&mut image.cgroup, &self.path);
        image.container.clone_from(&self.container);
        true
    }
}

/// Cgroups by id and containers by their full id.
#[derive(Debug, Default)]
pub(super) struct Containers {
    cgroups: HashMap<u64, (Arc<[u8]>, Option<String>)>,
    cgroup_order: VecDeque<u64>,
    /// Bytes of their paths.
    path_bytes: usize,
    containers: HashMap<String, Arc<Container>>,
    container_order: VecDeque<String>,
    /// Containers that run, by the inode numbers of their own pid namespaces, and of the mount namespaces of those that
    /// have none. No two namespaces have the same number, of whatever kind.
    namespaces: HashMap<u32, String>,
}

impl Containers {
    /// Learns the path of a cgroup.
    pub(super) fn learn(&mut self, id: u64, path: &[u8]) {
        let container = self.introduce(path);
        self.path_bytes += path.len();
        match self.cgroups.insert(id, (path.into(), container)) {
            None => self.cgroup_order.push_back(id),
            Some((before, _)) => self.path_bytes -= before.len(),
        }
        while (self.cgroup_order.len() > MAX_KEPT || self.path_bytes > MAX_PATHS)
            && let Some(oldest) = self.cgroup_order.pop_front()
        {
            let forgotten = self.cgroups.remove(&oldest);
            self.path_bytes -= forgotten.map_or(0, |(path, _)| path.len());
        }
    }

    /// The cgroup of an id, where its path is known.
    pub(super) fn get(&self, id: u64) -> Option<Cgroup> {
        let (path, container) = self.cgroups.get(&id)?;
        let container = container.as_ref().and_then(|id| self.containers.get(id));
        Some(Cgroup {
            path: path.clone(),
            container: container.cloned(),
        })
    }

    /// The cgroup of a path.
    pub(super) fn of_path(&mut self, path: &[u8]) -> Cgroup {
        let container = self.introduce(path).and_then(|id| self.containers.get(&id));
        Cgroup {
            path: path.into(),
            container: container.cloned(),
        }
    }

    /// Takes over what an engine says of a container; `false` when that was known.
    pub(super) fn update(&mut self, container: &Arc<Container>) -> bool {
        match self.containers.get_mut(&container.id) {
            Some(known) if known == container => false,
            Some(known) => {
                *known = container.clone();
                true
            }
            None => {
                self.add(container.clone());
                true
            }
        }
    }

    /// Learns a namespace of a container that runs.
    pub(super) fn learn_namespace(&mut self, id: &str, inode: u32) -> Arc<Container> {
        if self.namespaces.len() < MAX_KEPT {
            self.namespaces.insert(inode, id.to_owned());
        }
        if let Some(known) = self.containers.get(id) {
            return known.clone();
        }
        let container = Arc::new(Container {
            id: id.to_owned(),
            ..Container::default()
        });
        self.add(container.clone());
        container
    }

    /// Whether a namespace is known to be a container's.
    pub(super) fn is_known_namespace(&self, inode: u32) -> bool {
        self.namespaces.contains_key(&inode)
    }

    /// Whether more is known of a container than its id.
    pub(super) fn is_named(&self, id: &str) -> bool {
        self.containers.get(id).is_some_and(|known| !known.name.is_empty())
    }

    /// The first process of a pid namespace ended, and with it all others: the kernel may give its number to another.
    pub(super) fn namespace_ended(&mut self, inode: u32) {
        self.namespaces.remove(&inode);
    }

    /// Forgets the namespaces of a container that ended.
    pub(super) fn forget_namespace(&mut self, id: &str) {
        self.namespaces.retain(|_, of| of != id);
    }

    /// Puts an image whose cgroup names no container into that of its namespaces.
    pub(super) fn place_by_namespace(&self, image: &mut ProcessImage) {
        if image.container.is_some() || self.namespaces.is_empty() {
            return;
        }
        let by = |inode| self.namespaces.get(inode);
        if let Some(id) = by(&image.namespaces.pid).or_else(|| by(&image.namespaces.mnt)) {
            image.container = self.containers.get(id).cloned();
        }
    }

    /// Adds the container of a cgroup path, with no more than what the path says.
    fn introduce(&mut self, path: &[u8]) -> Option<String> {
        let (engine, id) = container_of(path)?;
        if !self.containers.contains_key(id) {
            self.add(Arc::new(Container {
                id: id.to_owned(),
                engine: engine.to_owned(),
                ..Container::default()
            }));
        }
        Some(id.to_owned())
    }

    fn add(&mut self, container: Arc<Container>) {
        self.container_order.push_back(container.id.clone());
        self.containers.insert(container.id.clone(), container);
        if self.container_order.len() > MAX_KEPT
            && let Some(oldest) = self.container_order.pop_front()
        {
            self.containers.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_cgroups_are_bounded_and_the_oldest_are_forgotten() {
        let mut containers = Containers::default();
        let path = vec![b'x'; 4096];
        for id in (0..10_000).chain([9_999]) {
            containers.learn(id, &path);
        }
        assert_eq!(containers.path_bytes, MAX_PATHS);
        assert_eq!(containers.cgroups.len(), MAX_PATHS / 4096);
        assert!(containers.get(0).is_none() && containers.get(9_999).is_some());
    }
}
