//! From the id of a cgroup to the container that runs in it.

use std::sync::Arc;

use ctrace_trace::container::Container;
use ctrace_trace::process::ProcessImage;
use hashbrown::HashMap;

use super::kept::Kept;
use super::spare::set;
use crate::host::container_of;

/// Most cgroups, and most containers, that are kept. Records of processes that were in them may still come when they ended.
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
    cgroups: Kept<u64, (Arc<[u8]>, Option<String>)>,
    /// Bytes of their paths.
    path_bytes: usize,
    containers: Kept<String, Arc<Container>>,
    /// Containers that run, by the inode numbers of their own pid namespaces, and of the mount namespaces of those that
    /// have none. No two namespaces have the same number, of whatever kind.
    namespaces: HashMap<u32, String>,
}

impl Containers {
    /// Learns the path of a cgroup that is there.
    pub(super) fn learn(&mut self, id: u64, path: &[u8]) {
        let container = self.introduce(path);
        if let Some(container) = &container {
            self.containers.mark(container.as_str(), true);
        }
        self.path_bytes += path.len();
        let before = self.cgroups.insert(id, (path.into(), container));
        self.path_bytes -= before.map_or(0, |(path, _)| path.len());
        while (self.cgroups.len() > MAX_KEPT || self.path_bytes > MAX_PATHS)
            && let Some((path, _)) = self.cgroups.forget_one()
        {
            self.path_bytes -= path.len();
        }
    }

    /// A cgroup is not there any more: where it was a container's own, and none within it, that ended.
    pub(super) fn removed(&mut self, id: u64) {
        self.cgroups.mark(&id, false);
        if let Some((path, Some(container))) = self.cgroups.get(&id)
            && is_own(path, container)
        {
            self.containers.mark(container.as_str(), false);
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
        self.containers.mark(id, true);
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
        if let Some(id) = self.namespaces.remove(&inode) {
            self.containers.mark(id.as_str(), false);
        }
    }

    /// A container ended: its namespaces are forgotten, and itself before those that run.
    pub(super) fn ended(&mut self, id: &str) {
        self.namespaces.retain(|_, of| of != id);
        self.containers.mark(id, false);
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
        if self.containers.get(id).is_none() {
            self.add(Arc::new(Container {
                id: id.to_owned(),
                engine: engine.to_owned(),
                ..Container::default()
            }));
        }
        Some(id.to_owned())
    }

    fn add(&mut self, container: Arc<Container>) {
        self.containers.insert(container.id.clone(), container);
        if self.containers.len() > MAX_KEPT {
            self.containers.forget_one();
        }
    }
}

/// Whether a cgroup is that of a container as a whole: its own name has the id.
fn is_own(path: &[u8], container: &str) -> bool {
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    std::str::from_utf8(name).is_ok_and(|name| name.contains(container))
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

    fn id(number: usize) -> String {
        format!("{number:064x}")
    }

    fn path(number: usize) -> Vec<u8> {
        format!("/system.slice/docker-{}.scope", id(number)).into_bytes()
    }

    fn is_known(containers: &Containers, number: usize) -> bool {
        containers.containers.get(id(number).as_str()).is_some()
    }

    /// So many containers that run and have names.
    fn started(count: usize) -> Containers {
        let mut containers = Containers::default();
        for number in 0..count {
            containers.learn(number as u64, &path(number));
            containers.update(&Arc::new(Container {
                id: id(number),
                name: format!("c{number}"),
                ..Container::default()
            }));
        }
        containers
    }

    #[test]
    fn containers_that_ended_are_forgotten_before_those_that_run() {
        let mut containers = started(MAX_KEPT);
        containers.removed(3);
        containers.ended(&id(2));
        // One that ended and was started again, and one of which only a cgroup within it was removed.
        containers.ended(&id(1));
        containers.learn(1, &path(1));
        containers.learn(MAX_KEPT as u64 + 9, &[&path(0)[..], b"/init.scope"].concat());
        containers.removed(MAX_KEPT as u64 + 9);
        for number in 20_000..20_002 {
            containers.learn(number, &path(number as usize));
        }
        assert_eq!(
            [0, 1, 2, 3, 4].map(|n| is_known(&containers, n)),
            [true, true, false, false, true]
        );
        assert!(containers.is_named(&id(0)));
        assert_eq!(containers.containers.len(), MAX_KEPT);
    }

    #[test]
    fn where_all_containers_run_the_oldest_is_forgotten() {
        let mut containers = started(MAX_KEPT);
        containers.learn(20_000, &path(20_000));
        assert_eq!([0, 1, 20_000].map(|n| is_known(&containers, n)), [false, true, true]);
    }
}
