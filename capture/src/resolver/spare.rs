//! Process images that nobody shows any more, to be made into new ones: where programs start all the time, most that the
//! resolver asks of the allocator are their texts.

use std::sync::Arc;

use ctrace_trace::process::ProcessImage;

/// Images that are kept.
const KEPT: usize = 128;
/// Texts that have more room are given back.
const MAX_TEXT: usize = 1024;

/// Images without an owner.
#[derive(Debug, Default)]
pub(super) struct Spare {
    images: Vec<Arc<ProcessImage>>,
}

impl Spare {
    /// Keeps an image if nobody else has it, and then its parent in the same way: a program mostly outlives in its children
    /// what started it.
    pub(super) fn keep(&mut self, image: Arc<ProcessImage>) {
        let mut next = Some(image);
        while let Some(mut image) = next {
            if self.images.len() >= KEPT {
                return;
            }
            let Some(own) = Arc::get_mut(&mut image) else { return };
            own.container = None;
            next = own.parent.take();
            for text in [&mut own.exe_path, &mut own.cwd, &mut own.cgroup] {
                give_back(text);
            }
            own.argv.clear(MAX_TEXT);
            own.env.clear(MAX_TEXT);
            self.images.push(image);
        }
    }

    /// An image that says what another one says, and belongs to the caller alone.
    pub(super) fn copy_of(&mut self, image: &ProcessImage) -> Arc<ProcessImage> {
        self.made(image, Of::Same)
    }

    /// The image of a program that the process of another one executes, to be filled in: who and where it is stays the same.
    /// It is the same image where nobody else shows that, as mostly nobody does what a process was between fork and exec.
    pub(super) fn successor_of(&mut self, mut image: Arc<ProcessImage>) -> Arc<ProcessImage> {
        let Some(own) = Arc::get_mut(&mut image) else {
            return self.made(&image, Of::Other);
        };
        for text in [&mut own.name, &mut own.exe_path] {
            text.clear();
            give_back(text);
        }
        own.argv.clear(MAX_TEXT);
        own.env.clear(MAX_TEXT);
        image
    }

    fn made(&mut self, image: &ProcessImage, of: Of) -> Arc<ProcessImage> {
        let mut spare = self.images.pop().unwrap_or_default();
        if let Some(own) = Arc::get_mut(&mut spare) {
            refill(own, image, of);
        }
        spare
    }
}

/// Which program an image is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Same,
    Other,
}

/// Gives back the room of a text that is not needed any more, if that is much.
fn give_back(text: &mut Vec<u8>) {
    if text.capacity() > MAX_TEXT {
        *text = Vec::new();
    }
}

/// Writes bytes over a text.
pub(super) fn set(text: &mut Vec<u8>, bytes: &[u8]) {
    text.clear();
    text.extend_from_slice(bytes);
}

/// Makes one image of another, where it lies and text by text in few instructions: all of an image is more than the nearest
/// cache of instructions has room for beside the rest.
fn refill(to: &mut ProcessImage, from: &ProcessImage, of: Of) {
    for (text, bytes) in [(&mut to.name, &from.name), (&mut to.exe_path, &from.exe_path)] {
        set(text, if of == Of::Same { bytes } else { &[] });
    }
    for (text, other) in [(&mut to.argv, &from.argv), (&mut to.env, &from.env)] {
        match of {
            Of::Same => text.set(other),
            Of::Other => text.clear(MAX_TEXT),
        }
    }
    let of_process = [
        (&mut to.cwd, &from.cwd),
        (&mut to.cgroup, &from.cgroup),
        (&mut to.user, &from.user),
        (&mut to.group, &from.group),
        (&mut to.login_user, &from.login_user),
    ];
    for (text, bytes) in of_process {
        set(text, bytes);
    }
    to.container.clone_from(&from.container);
    to.parent.clone_from(&from.parent);
    let ProcessImage {
        id,
        pid,
        ppid,
        vpid,
        sid,
        pgid,
        tty,
        start_ts,
        exec_ts,
        uid,
        euid,
        gid,
        egid,
        loginuid,
        cap_permitted,
        cap_effective,
        cap_inheritable,
        exe_ino,
        exe_ctime,
        exe_mtime,
        exe_flags,
        namespaces,
        name: _,
        exe_path: _,
        argv: _,
        env: _,
        cwd: _,
        cgroup: _,
        user: _,
        group: _,
        login_user: _,
        container: _,
        parent: _,
    } = *from;
    (to.id, to.pid, to.ppid, to.vpid) = (id, pid, ppid, vpid);
    (to.sid, to.pgid, to.tty) = (sid, pgid, tty);
    (to.start_ts, to.exec_ts) = (start_ts, exec_ts);
    (to.uid, to.euid, to.gid, to.egid) = (uid, euid, gid, egid);
    to.loginuid = loginuid;
    (to.cap_permitted, to.cap_effective) = (cap_permitted, cap_effective);
    to.cap_inheritable = cap_inheritable;
    (to.exe_ino, to.exe_flags) = (exe_ino, exe_flags);
    (to.exe_ctime, to.exe_mtime) = (exe_ctime, exe_mtime);
    to.namespaces = namespaces;
}

#[cfg(test)]
mod tests {
    use ctrace_trace::container::Container;
    use ctrace_trace::text::Text;

    use super::*;

    fn image(name: &[u8]) -> ProcessImage {
        ProcessImage {
            id: 3,
            pid: 4,
            name: name.to_vec(),
            argv: b"a\0b".to_vec().into(),
            cwd: b"/home".to_vec(),
            parent: Some(Arc::default()),
            container: Some(Arc::new(Container::default())),
            ..ProcessImage::default()
        }
    }

    #[test]
    fn what_was_another_image_says_the_same_as_its_model() {
        let mut spare = Spare::default();
        spare.keep(Arc::new(image(b"a longer name than the next one")));
        let model = ProcessImage {
            argv: Text::default(),
            ..image(b"short")
        };
        // The image and its parent's.
        for left in [1, 0] {
            let mut made = spare.copy_of(&model);
            assert_eq!(*made, model);
            assert!(Arc::get_mut(&mut made).is_some() && spare.images.len() == left);
        }
        assert_eq!(*spare.copy_of(&model), model, "where none is kept");
        spare.keep(Arc::new(image(b"of the program before")));
        let model = Arc::new(model);
        for _ in 0..2 {
            let next = spare.successor_of(model.clone());
            assert!(!Arc::ptr_eq(&next, &model));
            assert!(next.name.is_empty() && next.argv.is_empty() && next.cwd == model.cwd);
            assert_eq!((next.id, next.pid, &next.parent), (model.id, model.pid, &model.parent));
        }
        let place = Arc::as_ptr(&model);
        let next = spare.successor_of(model);
        assert_eq!(Arc::as_ptr(&next), place, "where nobody else has it");
        assert!(next.name.is_empty() && next.argv.is_empty() && next.cwd == b"/home" && next.parent.is_some());
    }

    #[test]
    fn only_what_nobody_has_is_kept_and_no_more_than_enough() {
        let mut spare = Spare::default();
        let shown = Arc::new(image(b"shown"));
        spare.keep(shown.clone());
        assert!(spare.images.is_empty());
        let parent = shown.parent.clone().expect("it has one");
        spare.keep(shown);
        assert_eq!((spare.images.len(), Arc::strong_count(&parent)), (1, 1));
        let child = |parent| ProcessImage {
            parent: Some(parent),
            ..ProcessImage::default()
        };
        spare.keep(Arc::new(child(Arc::new(child(parent.clone())))));
        assert_eq!((spare.images.len(), Arc::strong_count(&parent)), (3, 1));
        spare.keep(Arc::new(ProcessImage {
            argv: vec![b'x'; 60_000].into(),
            ..ProcessImage::default()
        }));
        assert!(spare.images.iter().all(|image| image.argv.room() <= MAX_TEXT));
        for _ in 0..2 * KEPT {
            spare.keep(Arc::default());
        }
        assert_eq!(spare.images.len(), KEPT);
    }
}
