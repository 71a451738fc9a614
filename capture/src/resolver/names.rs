//! Names of users and groups: the host's for processes on the host, the container's own for those in containers.

use std::collections::{BTreeMap, VecDeque};

use ctrace_trace::process::ProcessImage;
use hashbrown::{Equivalent, HashMap};

use super::snapshot::Host;
use super::spare::set;

/// Most names in containers that are kept; the oldest are forgotten first.
const MAX_KEPT: usize = 4096;

/// Which name in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key<Text> {
    /// The container's id.
    container: Text,
    of_group: bool,
    id: u32,
}

impl Key<&str> {
    fn to_owned(self) -> Key<String> {
        Key {
            container: self.container.to_owned(),
            of_group: self.of_group,
            id: self.id,
        }
    }
}

impl Equivalent<Key<String>> for Key<&str> {
    fn equivalent(&self, key: &Key<String>) -> bool {
        self.id == key.id && self.of_group == key.of_group && self.container == key.container
    }
}

/// Names by id.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) users: BTreeMap<u32, Vec<u8>>,
    pub(super) groups: BTreeMap<u32, Vec<u8>>,
    contained: HashMap<Key<String>, Vec<u8>>,
    order: VecDeque<Key<String>>,
}

impl Names {
    /// Whether a name of an image in a container was never told.
    pub(super) fn misses(&self, image: &ProcessImage) -> bool {
        let container = image.container.as_ref().map_or("", |c| &c.id);
        let keys = keys(container, image);
        keys.iter().any(|key| !self.contained.contains_key(key))
    }

    /// Fills in the names of an image's ids; of those in containers that are not known `host` is asked.
    pub(super) fn fill(&mut self, image: &mut ProcessImage, host: Option<&mut (dyn Host + 'static)>) {
        // Whoever logged in did so on the host.
        let name =
            |of: &BTreeMap<u32, Vec<u8>>, id: u32, to: &mut Vec<u8>| set(to, of.get(&id).map_or(&[][..], |name| name));
        name(&self.users, image.loginuid, &mut image.login_user);
        let Some(container) = image.container.clone() else {
            name(&self.users, image.euid, &mut image.user);
            name(&self.groups, image.egid, &mut image.group);
            return;
        };
        let [user, group] = keys(&container.id, image);
        // A process that has ended meanwhile must not leave others without names.
        if let Some([of_user, of_group]) = host.and_then(|host| host.names(image.pid, image.euid, image.egid)) {
            self.keep(user.to_owned(), of_user);
            self.keep(group.to_owned(), of_group);
        }
        set(&mut image.user, self.contained(&user));
        set(&mut image.group, self.contained(&group));
    }

    /// A name in a container; 0 is `root` wherever nothing says otherwise.
    fn contained(&self, key: &Key<&str>) -> &[u8] {
        match self.contained.get(key) {
            Some(name) if !name.is_empty() => name,
            _ if key.id == 0 => b"root",
            _ => b"",
        }
    }

    fn keep(&mut self, key: Key<String>, name: Vec<u8>) {
        if self.contained.insert(key.clone(), name).is_none() {
            self.order.push_back(key);
            if self.order.len() > MAX_KEPT
                && let Some(oldest) = self.order.pop_front()
            {
                self.contained.remove(&oldest);
            }
        }
    }
}

/// Which names in a container an image has: of its user, and of its group.
fn keys<'a>(container: &'a str, image: &ProcessImage) -> [Key<&'a str>; 2] {
    [(false, image.euid), (true, image.egid)].map(|(of_group, id)| Key {
        container,
        of_group,
        id,
    })
}
