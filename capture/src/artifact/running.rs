//! The files of processes that ran already when the recording began.
//!
//! They are read one after the other and without haste: they will be there for long, and whoever starts to record does
//! not want a burst of reading. A process that ends meanwhile takes its file along, and that is told.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ctrace_trace::artifact::Artifact;

use super::file::{Identity, path_only};
use super::opener::described;
use super::reader::Reader;
use super::threads::{Contents, Job};
use super::ticks::stamp_now;
use super::{Executed, How, Place};
use crate::host::{Mount, read_mounts};

/// `FUSE_SUPER_MAGIC` (linux/magic.h).
pub(crate) const FUSE: u32 = 0x6573_5546;

/// A process whose file is to be read, and the number of the request.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    pub(crate) request: u64,
    pub(crate) pid: u32,
    /// As the process's image shows it.
    pub(crate) path: Vec<u8>,
    pub(crate) is_memfd: bool,
    pub(crate) is_deleted: bool,
}

/// Reads them all.
pub(super) fn read(all: Vec<Past>, reader: &mut Reader, collects: bool, limit: u64) {
    for past in all {
        if reader.is_stopped() {
            return;
        }
        let job = match job(&past, collects, limit) {
            Ok(job) => job,
            Err(artifact) => {
                reader.tell(past.request, Some(*artifact), false);
                continue;
            }
        };
        reader.take(job);
    }
}

/// What is to be read of a process; or what is known of it, and why it is not read.
fn job(past: &Past, collects: bool, limit: u64) -> Result<Job, Box<Artifact>> {
    let unread = |artifact: &Artifact, reason: String| {
        Box::new(Artifact {
            reason,
            ..artifact.clone()
        })
    };
    let ended = || {
        let artifact = Artifact {
            kind: How::Before.kind(),
            path: past.path.clone(),
            ..Artifact::default()
        };
        unread(&artifact, "the process had ended".to_owned())
    };
    let link = format!("/proc/{}/exe", past.pid);
    // Naming a file asks no file system, opening it would.
    let named = path_only(None, link.as_bytes(), 0).map_err(|_| ended())?;
    let named = File::from(named);
    let (identity, size) = Identity::of(&named).map_err(|_| ended())?;
    let artifact = Artifact {
        kind: How::Before.kind(),
        path: past.path.clone(),
        size: Some(size),
        ..described(&identity)
    };
    if is_fuse(&named) {
        let reason = "on a file system that a program makes, which could keep the recorder waiting";
        return Err(unread(&artifact, reason.to_owned()));
    }
    if size > limit {
        return Err(unread(&artifact, format!("larger than the limit of {limit} bytes")));
    }
    let collect = collects && (past.is_memfd || past.is_deleted || is_upper(past.pid, &past.path, identity.ino));
    let executed = Executed {
        place: Place {
            pid: past.pid,
            ppid: 0,
            mnt_ns: 0,
        },
        identity,
        path: past.path.clone(),
        how: How::Before,
        ticked_ns: stamp_now(),
        is_memfd: past.is_memfd,
        is_overlay: false,
        collect,
    };
    let opened = executed.open().map_err(|reason| unread(&artifact, reason))?;
    Ok(Job {
        request: past.request,
        artifact,
        collect,
        contents: Contents::Executed(executed, opened),
    })
}

fn is_fuse(file: &File) -> bool {
    super::file::file_system(file).is_some_and(|magic| magic == FUSE)
}

/// Whether a file lies in the upper layer of an overlay: made or changed after the container started.
fn is_upper(pid: u32, path: &[u8], ino: u64) -> bool {
    let mounts = read_mounts(pid);
    // Of several at one place the last one counts.
    let mount = mounts
        .iter()
        .rev()
        .filter(|m| below(&m.target, path).is_some())
        .max_by_key(|m| m.target.len());
    let upper = mount
        .filter(|m| m.fs_type == b"overlay" && m.root == b"/")
        .and_then(upper_of);
    let (Some(upper), Some(rest)) = (upper, mount.and_then(|m| below(&m.target, path))) else {
        return false;
    };
    let file = Path::new(std::ffi::OsStr::from_bytes(upper)).join(std::ffi::OsStr::from_bytes(rest));
    file.symlink_metadata()
        .is_ok_and(|about| about.is_file() && about.ino() == ino)
}

/// What a path is called below a folder.
fn below<'a>(folder: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    let folder = folder.strip_suffix(b"/").unwrap_or(folder);
    path.strip_prefix(folder)?.strip_prefix(b"/")
}

fn upper_of(mount: &Mount) -> Option<&[u8]> {
    mount
        .fs_options
        .split(|b| *b == b',')
        .find_map(|o| o.strip_prefix(b"upperdir="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_below_a_mount() {
        assert_eq!(below(b"/", b"/bin/sh"), Some(&b"bin/sh"[..]));
        assert_eq!(below(b"/bin", b"/bin/sh"), Some(&b"sh"[..]));
        assert_eq!(below(b"/bi", b"/bin/sh"), None);
        assert_eq!(below(b"/bin", b"memfd:x"), None);
    }

    #[test]
    fn the_upper_layer_is_an_option() {
        let mount = Mount {
            fs_options: b"rw,lowerdir=/l/a:/l/b,upperdir=/l/c/diff,workdir=/l/c/work".to_vec(),
            ..Mount::default()
        };
        assert_eq!(upper_of(&mount), Some(&b"/l/c/diff"[..]));
    }
}
