//! Modules and BPF programs that are loaded.

use ctrace_trace::artifact::{Artifact, ArtifactKind};
use ctrace_trace::event::Event;
use ctrace_wire::record::{Header, Syscall};

use super::{Artifacts, BPF, FINIT_MODULE, INIT_MODULE, load_number, moment};
use crate::artifact::{Place, Request};

/// `BPF_PROG_LOAD` of bpf(2).
const PROG_LOAD: u64 = 5;
/// Errors have numbers below this.
const MAX_ERRNO: i64 = 4096;

impl Artifacts {
    pub(super) fn syscall(&mut self, call: &Syscall<[u64]>) {
        let header = &call.header;
        let Some(nr) = load_number(header, call.nr) else { return };
        let failed = (-MAX_ERRNO..0).contains(&call.ret);
        match nr {
            BPF if !failed && call.arg(0) == PROG_LOAD && self.collects => {
                let actor = self.expect(header);
                let about = Artifact {
                    kind: ArtifactKind::BpfProgram,
                    ..Artifact::default()
                };
                self.ask(Request::Programs { until_ns: header.ts }, None, about, actor);
            }
            FINIT_MODULE => {
                if let (Some(hasher), Ok(fd)) = (&self.hasher, i32::try_from(call.arg(0))) {
                    let _ = hasher.ask(0, Request::Hold { pid: header.tgid, fd });
                }
                let actor = self.expect(header);
                self.modules.insert(moment(header), actor);
            }
            INIT_MODULE => {
                let actor = self.expect(header);
                let artifact = Artifact {
                    kind: ArtifactKind::Module,
                    size: Some(call.arg(1)),
                    reason: "loaded from the memory of the process: its file is not known".to_owned(),
                    ..Artifact::default()
                };
                self.found.push_back((artifact, actor));
            }
            _ => {}
        }
    }

    /// The event of a record that is awaited; nothing is told of what is not in the scope.
    pub(in crate::recorder) fn told(&mut self, header: &Header, event: &Event<'_>) {
        let Some(image) = event.image else { return };
        if let Some(actor) = self.awaited.get(&moment(header)) {
            let _ = actor.set(image.clone());
        }
        let (Some(actor), Some(file)) = (self.modules.remove(&moment(header)), event.fd) else {
            return;
        };
        let request = Request::Module {
            place: Place {
                pid: image.pid,
                ppid: image.ppid,
                mnt_ns: image.namespaces.mnt,
            },
            path: file.name.clone(),
            dev: file.dev,
            ino: file.ino,
        };
        let about = Artifact {
            kind: ArtifactKind::Module,
            path: file.name.clone(),
            dev: file.dev,
            ino: file.ino,
            ..Artifact::default()
        };
        self.ask(request, None, about, actor);
    }
}
