//! The state of the host, and what the sources say of themselves, as the snapshot in a segment.

use ctrace_trace::container::Container;
use ctrace_trace::snapshot::{
    AuditState, DockerState, FdState, Group, HostSnapshot, Module, MountState, ProcessState, User,
};

use super::cgroup::container_of;
use super::fd::HostFd;
use super::names::Names;
use super::process::HostProcess;
use super::snapshot::HostState;
use crate::audit::AuditStatus;
use crate::docker::EngineInfo;

impl HostState {
    /// What a segment keeps. Containers come from the engine, by id; what could not be asked is `None`.
    pub fn for_segment(
        &self,
        containers: Vec<Container>,
        docker: Option<DockerState>,
        audit: Result<AuditState, String>,
    ) -> HostSnapshot {
        let (users, groups) = accounts(&self.names);
        let mut snapshot = HostSnapshot {
            taken_ts: self.taken_ts,
            processes: self.processes.iter().map(process_state).collect(),
            listening: self.listening.clone(),
            mounts: self.mounts.iter().map(mount_state).collect(),
            users,
            groups,
            containers,
            modules: self.modules.iter().map(module_state).collect(),
            audit: None,
            docker,
            kernel_command_line: self.facts.kernel_command_line.clone(),
            clock_source: self.facts.clock_source.clone(),
            ..HostSnapshot::default()
        };
        snapshot.containers.sort_by(|a, b| a.id.cmp(&b.id));
        if self.lacks_fds {
            let reason = "of some processes left out: there are too many";
            snapshot.incomplete.push(("fds".to_owned(), reason.to_owned()));
        }
        match audit {
            Ok(state) => snapshot.audit = Some(state),
            Err(reason) => snapshot.incomplete.push(("audit".to_owned(), reason)),
        }
        if let Some(units) = &self.units {
            snapshot.set_units(&units.units);
            let missing = units.missing.iter().map(|why| ("units".to_owned(), why.clone()));
            snapshot.incomplete.extend(missing);
        }
        snapshot
    }
}

impl AuditStatus {
    /// What a segment keeps of the audit subsystem.
    pub fn for_segment(&self, rules: Vec<String>) -> AuditState {
        AuditState {
            enabled: self.enabled,
            failure: self.failure,
            pid: self.pid,
            rate_limit: self.rate_limit,
            backlog_limit: self.backlog_limit,
            backlog: self.backlog,
            lost: self.lost,
            rules,
        }
    }
}

impl EngineInfo {
    /// What a segment keeps of an engine, with the socket that it answered on. Without its images.
    pub fn for_segment(&self, endpoint: &str) -> DockerState {
        DockerState {
            endpoint: endpoint.to_owned(),
            version: self.version.clone(),
            api_version: self.api_version.clone(),
            info: self.raw.clone(),
            images: Vec::new(),
        }
    }
}

/// The container is linked by its id: what the engine says of it is in the snapshot once.
fn process_state(process: &HostProcess) -> ProcessState {
    let threads = u32::try_from(process.threads.len()).unwrap_or(u32::MAX);
    let fds = process.fds.iter().filter_map(fd_state).collect();
    let mut state = ProcessState::new(&process.image, threads, fds);
    if let Some((_, id)) = container_of(&process.image.cgroup) {
        id.clone_into(&mut state.container);
    }
    state
}

fn fd_state(fd: &HostFd) -> Option<FdState> {
    Some(FdState::new(fd.fd.try_into().ok()?, &fd.entry))
}

fn mount_state(mount: &super::mounts::Mount) -> MountState {
    MountState {
        id: mount.id,
        parent: mount.parent,
        device: mount.device,
        root: mount.root.clone(),
        target: mount.target.clone(),
        options: mount.options.clone(),
        fs_type: mount.fs_type.clone(),
        source: mount.source.clone(),
        fs_options: mount.fs_options.clone(),
    }
}

fn module_state(module: &super::modules::Module) -> Module {
    Module {
        name: module.name.clone(),
        size: module.size,
        used_by: module.used_by.clone(),
        state: module.state.clone(),
    }
}

fn accounts(names: &Names) -> (Vec<User>, Vec<Group>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let users = names.users.iter().map(|(uid, user)| User {
        uid: *uid,
        name: text(&user.name),
        gid: user.gid,
        home: text(&user.home),
        shell: text(&user.shell),
    });
    let groups = names.groups.iter().map(|(gid, group)| Group {
        gid: *gid,
        name: text(&group.name),
        members: group.members.iter().map(|m| text(m)).collect(),
    });
    (users.collect(), groups.collect())
}
