//! How much memory process images and descriptors take. Their numbers are bounded, but one command line may have 64 KiB and
//! one name 4 KiB: who wants the recorder to be killed makes them all that long.
//!
//! What is made is added up, and when the sum reaches what there may be, what is still there is counted. So nobody has to say
//! what is freed, which happens in many places. Where thousands of programs start in a second a count is made every half
//! minute and takes some milliseconds.

use std::sync::Arc;

use ctrace_trace::fd::FdEntry;
use ctrace_trace::process::ProcessImage;
use hashbrown::{HashMap, HashSet};

use super::process::Process;
use super::sharing::{Held, Weighed};
use super::state::State;
use crate::host::{TRUNCATED, cut_strings};

/// What texts of images are cut to, one after the other, until what is kept is little enough.
const CUTS: [usize; 2] = [1024, 128];
/// The allocator and the counts of references.
const OVERHEAD: usize = 32;

/// Bytes of things of a kind.
#[derive(Debug)]
pub(super) struct Budget {
    most: usize,
    /// As many as there were at the last count, and as were made since.
    bytes: usize,
}

impl Budget {
    pub(super) fn new(most: usize) -> Budget {
        Budget { most, bytes: 0 }
    }

    /// More were made.
    #[inline]
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Whether there may be too many.
    #[inline]
    pub(super) fn is_spent(&self) -> bool {
        self.bytes > self.most
    }

    /// How many there are at most.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// So many were counted; whether they leave so much that the next count is far.
    fn count(&mut self, bytes: usize) -> bool {
        self.bytes = bytes;
        bytes <= self.most / 2
    }
}

/// What an image takes, without its parent.
pub(super) fn weight(image: &ProcessImage) -> usize {
    let paths = [&image.exe_path, &image.cwd, &image.cgroup].map(Vec::capacity);
    let paths: usize = paths.into_iter().sum();
    size_of::<ProcessImage>() + OVERHEAD + image.argv.room() + image.env.room() + paths
}

/// What a descriptor's entry takes.
#[inline]
pub(super) fn weight_of_entry(entry: &FdEntry) -> usize {
    size_of::<FdEntry>() + OVERHEAD + entry.name.capacity() + entry.name_raw.capacity()
}

impl State {
    /// Gives up some of what is kept where it became too much.
    #[inline]
    pub(super) fn keep_within_budget(&mut self) {
        if self.table.images.is_spent() {
            self.cut_images();
        }
        if self.files.bytes.is_spent() {
            self.forget_descriptors();
        }
    }

    /// Gives up what is missed least: who ended, then the far end of long texts, then processes that did nothing lately.
    #[cold]
    #[inline(never)]
    fn cut_images(&mut self) {
        if self.count_images() {
            return;
        }
        self.table.evict_ended();
        let mut fits = self.count_images();
        for longest in CUTS {
            if fits {
                return;
            }
            self.cut_texts(longest);
            fits = self.count_images();
        }
        while !fits && self.table.len() > 1 {
            self.table.evict_half();
            fits = self.count_images();
        }
    }

    fn count_images(&mut self) -> bool {
        let bytes = bytes_of_images(self.table.each());
        self.table.images.count(bytes)
    }

    /// Gives all processes that live, and their ancestors, images without long texts.
    fn cut_texts(&mut self, longest: usize) {
        let mut cuts = Cuts {
            longest,
            next_id: self.next_image,
            done: HashMap::new(),
        };
        for process in self.table.each_living() {
            process.image = cuts.cut(&process.image);
            for own in process.private_mut() {
                own.image = cuts.cut(&own.image);
            }
        }
        self.next_image = cuts.next_id;
        self.stats.images_cut += cuts.done.len() as u64;
    }

    /// Forgets the descriptors of those processes that keep most, until what is left is little enough: the host is asked
    /// anew for those that are used.
    #[cold]
    #[inline(never)]
    pub(super) fn forget_descriptors(&mut self) {
        loop {
            let mut weighed = Weighed::default();
            let living = self.table.each_living();
            let mut owners: Vec<(Held, &mut Process)> = living.map(|p| (p.weigh_fds(&mut weighed), p)).collect();
            let mut bytes = owners.iter().map(|(held, _)| held.bytes).sum();
            if self.files.bytes.count(bytes) {
                return;
            }
            owners.sort_unstable_by_key(|(held, process)| (*held, process.serial));
            // Entries that several have are still there when one of them has forgotten them: hence the loop.
            while !self.files.bytes.count(bytes)
                && let Some((held, process)) = owners.pop()
            {
                bytes -= held.bytes;
                self.stats.fds_refused += held.fds as u64;
                process.forget_fds();
            }
        }
    }
}

/// What the images of processes and their ancestors take, each counted once.
fn bytes_of_images<'a>(processes: impl Iterator<Item = &'a Process>) -> usize {
    let (mut bytes, mut shared) = (0, HashSet::new());
    for process in processes {
        bytes += process.bytes_of_texts();
        let images = process.private().iter().map(|own| &own.image);
        for image in images.chain([&process.image]) {
            let mut next = Some(image);
            while let Some(image) = next.filter(|i| Arc::strong_count(i) == 1 || shared.insert(Arc::as_ptr(i))) {
                bytes += weight(image);
                next = image.parent.as_ref();
            }
        }
    }
    bytes
}

/// Images that are made of those with long texts.
struct Cuts {
    longest: usize,
    next_id: u64,
    /// What was made of an image, which is kept so that no other gets its place.
    done: HashMap<*const ProcessImage, (Arc<ProcessImage>, Arc<ProcessImage>)>,
}

impl Cuts {
    /// An image and its ancestors without long texts: the same where there are none.
    fn cut(&mut self, image: &Arc<ProcessImage>) -> Arc<ProcessImage> {
        let line: Vec<_> = std::iter::successors(Some(image), |image| image.parent.as_ref()).collect();
        let mut above = None;
        for image in line.into_iter().rev() {
            above = Some(self.below(image, above));
        }
        above.unwrap_or_else(|| image.clone())
    }

    /// The same for one whose ancestors have none.
    fn below(&mut self, image: &Arc<ProcessImage>, above: Option<Arc<ProcessImage>>) -> Arc<ProcessImage> {
        if let Some((_, made)) = self.done.get(&Arc::as_ptr(image)) {
            return made.clone();
        }
        let is_same = match (&image.parent, &above) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (old, new) => old.is_none() && new.is_none(),
        };
        let texts = [&image.argv[..], &image.env, &image.exe_path, &image.cwd, &image.cgroup];
        if is_same && texts.iter().all(|text| text.len() <= self.longest) {
            return image.clone();
        }
        let mut made = ProcessImage {
            id: self.next_id,
            parent: above,
            ..(**image).clone()
        };
        self.next_id += 1;
        for strings in [&mut made.argv, &mut made.env] {
            cut_strings(strings, self.longest);
        }
        for path in [&mut made.exe_path, &mut made.cwd, &mut made.cgroup] {
            cut_path(path, self.longest);
        }
        let made = Arc::new(made);
        self.done.insert(Arc::as_ptr(image), (image.clone(), made.clone()));
        made
    }
}

/// Leaves the end of a path: one that is not all there does not begin with a slash.
fn cut_path(path: &mut Vec<u8>, longest: usize) {
    if path.len() > longest {
        let from = path.len() - (longest - TRUNCATED.len());
        let slash = path.iter().skip(from).position(|b| *b == b'/');
        path.splice(..from + slash.unwrap_or(0), TRUNCATED.iter().copied());
        path.shrink_to_fit();
    }
}
