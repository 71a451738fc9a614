//! Cgroups that come and go: a container's cgroup is there before its first process.

use ctrace_wire::{
    record::Cgroup,
    section::{self, PATH_MAX},
    spec::Lane,
};

use crate::{
    maps::{self, ScratchFor},
    read::{self, Current, member, pointer},
    scratch::Writer,
};

#[inline(always)]
pub fn on_change(cgroup: usize, path: usize, kind: u8) {
    let cpu = read::cpu();
    let Some(scratch) = maps::scratch(cpu, ScratchFor::Cgroup) else {
        return;
    };
    let (writer, record) = Writer::start::<Cgroup>(scratch);
    // SAFETY: record points into the scratch map.
    unsafe {
        (*record).header = read::header(kind, 0, Current::get(), cpu);
        (*record).id = member!(pointer!(cgroup, cgroup_kn), kernfs_node_id, u64::MAX);
        (*record).hierarchy = member!(pointer!(cgroup, cgroup_root), cgroup_root_hierarchy, u32::MAX);
        (*record).reserved = 0;
    }
    writer.string::<{ PATH_MAX as u32 }>(section::CGROUP_PATH, 0, path as u64, false);
    writer.submit(Lane::Priority);
}
