//! Process images that nobody shows any more, to be made into new ones: where programs start all the time, most that the
//! resolver asks of the allocator are their texts.

use std::mem;
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
            for text in [
                &mut own.argv,
                &mut own.env,
                &mut own.exe_path,
                &mut own.cwd,
                &mut own.cgroup,
            ] {
                if text.capacity() > MAX_TEXT {
                    *text = Vec::new();
                }
            }
            self.images.push(image);
        }
    }

    /// An image that says what another one says, and belongs to the caller alone.
    pub(super) fn copy_of(&mut self, image: &ProcessImage) -> Arc<ProcessImage> {
        self.made(image, Of::Same)
    }

    /// The image of a program that another one executes, to be filled in: who and where it is stays the same.
    pub(super) fn successor_of(&mut self, image: &ProcessImage) -> Arc<ProcessImage> {
        self.made(image, Of::Other)
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

/// Writes bytes over a text.
pub(super) fn set(text: &mut Vec<u8>, bytes: &[u8]) {
    text.clear();
    text.extend_from_slice(bytes);
}

fn refill(to: &mut ProcessImage, from: &ProcessImage, of: Of) {
    let refilled = |text: &mut Vec<u8>, bytes: &[u8]| {
        let mut text = mem::take(text);
        set(&mut text, bytes);
        text
    };
    let of_program = |text: &mut Vec<u8>, bytes| refilled(text, if of == Of::Same { bytes } else { &[] });
    *to = ProcessImage {
        name: of_program(&mut to.name, &from.name),
        exe_path: of_program(&mut to.exe_path, &from.exe_path),
        argv: of_program(&mut to.argv, &from.argv),
        env: of_program(&mut to.env, &from.env),
        cwd: refilled(&mut to.cwd, &from.cwd),
        cgroup: refilled(&mut to.cgroup, &from.cgroup),
        user: refilled(&mut to.user, &from.user),
        group: refilled(&mut to.group, &from.group),
        login_user: refilled(&mut to.login_user, &from.login_user),
        container: from.container.clone(),
        parent: from.parent.clone(),
        ..*from
    };
}

#[cfg(test)]
mod tests {
    use ctrace_trace::container::Container;

    use super::*;

    fn image(name: &[u8]) -> ProcessImage {
        ProcessImage {
            id: 3,
            pid: 4,
            name: name.to_vec(),
            argv: b"a\0b".to_vec(),
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
            argv: Vec::new(),
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
        for _ in 0..2 {
            let next = spare.successor_of(&model);
            assert!(next.name.is_empty() && next.argv.is_empty() && next.cwd == model.cwd);
            assert_eq!((next.id, next.pid, &next.parent), (model.id, model.pid, &model.parent));
        }
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
            argv: vec![b'x'; 60_000],
            ..ProcessImage::default()
        }));
        assert!(spare.images.iter().all(|image| image.argv.capacity() <= MAX_TEXT));
        for _ in 0..2 * KEPT {
            spare.keep(Arc::default());
        }
        assert_eq!(spare.images.len(), KEPT);
    }
}
