//! Files that are executed: programs, and scripts that their interpreters open.

use ctrace_trace::artifact::{Artifact, ArtifactKind};
use ctrace_wire::record::{Exec, FLAG_COMPAT, Header};
use ctrace_wire::section::{self, FILE_DELETED, FILE_OVERLAY, FILE_PSEUDO, FILE_UNHASHED, FILE_UPPER, File};

use super::scripts::Script;
use super::{Actor, Artifacts, Known};
use crate::artifact::{Executed, FUSE, How, Identity, Place, Request};
use crate::host::{Clock, boot_time_ns};
use crate::resolver::{file_identity, path_of_object};
use crate::syscall::{SyscallView, UNREACHABLE, View};

/// Files that no name leads to, or that are not of their container's image.
const HIDDEN: u32 = FILE_UPPER | FILE_PSEUDO | FILE_DELETED | FILE_UNHASHED;

impl Artifacts {
    pub(super) fn exec(&mut self, view: &View<'_, Exec>, clock: &Clock) {
        let (mut file, mut is_script) = (None, false);
        for section in view.sections() {
            file = file.or_else(|| section.file());
            is_script |= section.kind == section::EXEC_INTERP;
        }
        let Some(file) = file else { return };
        let header = &view.fixed.header;
        let known = |id: u32| if id == u32::MAX { 0 } else { id };
        let place = Place {
            pid: header.tgid,
            ppid: known(view.fixed.ppid),
            mnt_ns: known(view.fixed.mnt_ns),
        };
        if is_script {
            let actor = self.expect(header);
            if let Some(script) = self.scripts.expect(view, place, &actor) {
                self.unopened(script, "too many scripts were waiting for their interpreters");
            }
        }
        let identity = file_identity(&file);
        if self.is_told(&identity, ArtifactKind::Executable) {
            // As mostly.
            self.quiet.iter().for_each(|quiet| quiet.add(&file));
            return;
        }
        if self.is_news(&file, How::Program) {
            let actor = self.expect(header);
            let executed = self.executed(view, &file, (place, How::Program), At::of(header, clock));
            self.ask_for(executed, file.fs_magic, actor);
            return;
        }
        if let Some(artifact) = self.untold(&identity, ArtifactKind::Executable) {
            let actor = self.expect(header);
            self.found.push_back((artifact, actor));
        }
        if let Some(quiet) = &self.quiet
            && self.known.get(&identity).is_some_and(|known| known.is_final)
        {
            quiet.add(&file);
        }
    }

    /// A process opened a file: perhaps the script that it is to run.
    pub(super) fn opened(&mut self, view: &SyscallView<'_>, clock: &Clock) {
        let call = view.fixed;
        let (Ok(fd), false) = (i32::try_from(call.ret), call.header.flags & FLAG_COMPAT != 0) else {
            return;
        };
        if fd < 0 || self.scripts.is_empty() {
            return;
        }
        let name = view.section(section::STRING).map_or(&[][..], |name| name.data);
        let Some(script) = self.scripts.opened(call.header.tgid, name) else {
            return;
        };
        let Some(file) = view.section(section::FILE).and_then(|s| s.file()) else {
            return self.unopened(script, "this kernel does not tell which file was opened");
        };
        let how = How::Script(fd);
        if self.is_news(&file, how) {
            let executed = self.executed(view, &file, (script.place, how), At::of(&call.header, clock));
            self.ask_for(executed, file.fs_magic, script.actor);
        } else if let Some(artifact) = self.untold(&file_identity(&file), ArtifactKind::Script) {
            self.found.push_back((artifact, script.actor));
        }
    }

    /// A script whose contents are not known.
    pub(super) fn unopened(&mut self, script: Script, reason: &str) {
        let about = Artifact {
            kind: ArtifactKind::Script,
            path: script.path,
            ..Artifact::default()
        };
        self.unread(None, about, reason, script.actor);
    }

    /// Whether a file is to be read: it is neither known for good nor being read.
    fn is_news(&self, file: &File, how: How) -> bool {
        let identity = file_identity(file);
        let known = self.known.get(&identity);
        // What is the program of a process and what a script are different files, in all that makes sense.
        let same = |known: &Known| matches!(how, How::Script(_)) == (known.artifact.kind == ArtifactKind::Script);
        !known.is_some_and(|known| known.is_final && same(known)) && !self.flying.contains(&identity)
    }

    /// Whether all is known of a file of such a kind, and was told in this segment.
    fn is_told(&self, identity: &Identity, kind: ArtifactKind) -> bool {
        let told = |known: &Known| known.is_final && known.told == self.segment && known.artifact.kind == kind;
        self.known.get(identity).is_some_and(told)
    }

    /// What is known for good of a file and was not told in this segment of such a kind.
    fn untold(&mut self, identity: &Identity, kind: ArtifactKind) -> Option<Artifact> {
        let known = self.known.get_mut(identity).filter(|known| known.is_final)?;
        if known.told == self.segment && known.artifact.kind == kind {
            return None;
        }
        known.told = self.segment;
        known.artifact.kind = kind;
        Some(known.artifact.clone())
    }

    /// A file of a record, which a process at a place executes.
    fn executed<T: ?Sized>(&self, view: &View<'_, T>, file: &File, (place, how): (Place, How), at: At) -> Executed {
        let mut path = Vec::new();
        let mut is_detached = false;
        if let Some(section) = view.section(section::FILE_PATH) {
            path_of_object(&section, file.flags, &mut path);
            is_detached = section.detached;
        }
        Executed {
            place,
            identity: file_identity(file),
            how,
            ticked_ns: self.ticks.by(at.boot_ns, at.utc_ns),
            is_memfd: file.flags & FILE_PSEUDO != 0 && path != UNREACHABLE,
            path,
            is_overlay: file.flags & FILE_OVERLAY != 0,
            collect: self.collects && (is_detached || file.flags & HIDDEN != 0),
        }
    }

    fn ask_for(&mut self, executed: Executed, fs_magic: u32, actor: Actor) {
        self.asked_at = boot_time_ns();
        let (identity, about) = (executed.identity, about(&executed));
        if fs_magic == FUSE {
            let reason = "on a file system that a program makes, which could keep the recorder waiting";
            return self.unread(Some(identity), about, reason, actor);
        }
        if self.ask(Request::Executed(executed), Some(identity), about, actor) {
            self.flying.insert(identity);
        }
    }
}

/// What is known of a file that is executed.
fn about(executed: &Executed) -> Artifact {
    Artifact {
        kind: executed.how.kind(),
        path: executed.path.clone(),
        dev: executed.identity.dev,
        ino: executed.identity.ino,
        ctime: executed.identity.ctime,
        mtime: executed.identity.mtime,
        ..Artifact::default()
    }
}

/// When a record was made.
#[derive(Clone, Copy)]
struct At {
    boot_ns: u64,
    utc_ns: u64,
}

impl At {
    fn of(header: &Header, clock: &Clock) -> At {
        At {
            boot_ns: header.ts,
            utc_ns: clock.utc(header.ts),
        }
    }
}
