//! Names of users and groups: the host's for processes on the host, the container's own for those in containers.

use std::collections::{BTreeMap, VecDeque};

use ctrace_trace::process::ProcessImage;
use hashbrown::HashMap;

use super::snapshot::Host;
use super::spare::set;

/// Most names in containers that are kept; the oldest are forgotten first.
const MAX_KEPT: usize = 4096;

/// Which name in a container: the container's id, whether of a group, the number.
type Key = (String, bool, u32);

/// Names by id.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) users: BTreeMap<u32, Vec<u8>>,
    pub(super) groups: BTreeMap<u32, Vec<u8>>,
    contained: HashMap<Key, Vec<u8>>,
    order: VecDeque<Key>,
}

impl Names {
    /// Whether a name of an image in a container was never asked for.
    pub(super) fn misses(&self, image: &ProcessImage) -> bool {
        let key = |group, id| key(image, group, id);
        !self.contained.contains_key(&key(false, image.euid)) || !self.contained.contains_key(&key(true, image.egid))
    }

    /// Fills in the names of an image's ids; of those in containers that are not known `host` is asked.
    pub(super) fn fill(&mut self, image: &mut ProcessImage, host: Option<&mut (dyn Host + 'static)>) {
        // Whoever logged in did so on the host.
        let name =
            |of: &BTreeMap<u32, Vec<u8>>, id: u32, to: &mut Vec<u8>| set(to, of.get(&id).map_or(&[][..], |name| name));
        name(&self.users, image.loginuid, &mut image.login_user);
        if image.container.is_none() {
            name(&self.users, image.euid, &mut image.user);
            name(&self.groups, image.egid, &mut image.group);
            return;
        }
        let (user, group) = (key(image, false, image.euid), key(image, true, image.egid));
        if let Some(host) = host {
            self.keep(user.clone(), host.user(image.pid, image.euid).unwrap_or_default());
            self.keep(group.clone(), host.group(image.pid, image.egid).unwrap_or_default());
        }
        image.user = self.contained(&user);
        image.group = self.contained(&group);
    }

    /// A name in a container; 0 is `root` wherever nothing says otherwise.
    fn contained(&self, key: &Key) -> Vec<u8> {
        match self.contained.get(key) {
            Some(name) if !name.is_empty() => name.clone(),
            _ if key.2 == 0 => b"root".to_vec(),
            _ => Vec::new(),
        }
    }

    fn keep(&mut self, key: Key, name: Vec<u8>) {
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

fn key(image: &ProcessImage, group: bool, id: u32) -> Key {
    let container = image.container.as_ref().map_or(String::new(), |c| c.id.clone());
    (container, group, id)
}
