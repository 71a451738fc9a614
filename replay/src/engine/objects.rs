//! Open objects: what conditions ask of them, and the class of each.

use std::collections::{BTreeMap, BTreeSet};

use ctrace_trace::block::decoded::{Dictionaries, FdView, RawPath};
use ctrace_trace::fd::FdKind;
use hashbrown::HashMap;

use super::classes::Classes;
use super::dictionary::Comparisons;
use super::evaluate::Place;
use super::folders::{PathMatcher, Subject};
use super::mask;
use super::plan::{Asked, Plan, Slot};
use super::scan::{MAX_CLASSES, allow};
use crate::condition::Operator;
use crate::fields::FdPart;
use crate::typed::atom::{Atom, Extract, Right};
use crate::typed::test::{StrTest, Test};

const MAX_VERDICTS: usize = 1 << 18;

/// What is known of open objects under one set of live slots: comparisons that no live slot makes are left out.
#[derive(Debug)]
pub(super) struct Objects<'p> {
    paths: Paths<'p>,
    /// Comparisons of the kind alone, and the result for each kind met so far.
    of_kind: Comparisons<'p>,
    by_kind: BTreeMap<FdKind, Box<[u64]>>,
    /// Comparisons of the ends of sockets.
    of_sockets: Comparisons<'p>,
    /// Comparisons of names that hold for every socket.
    of_all_sockets: Box<[u64]>,
    /// Those that are neither of these nor of paths.
    others: Comparisons<'p>,
    /// All, for what has a path and is a socket: no recorder says that of anything.
    all: Comparisons<'p>,
    classes: Classes,
    /// By slot, image class and fd class.
    verdicts: HashMap<(u32, u32, u32), Option<bool>>,
    bits: Vec<u64>,
}

/// Comparisons of names and paths by what has them.
#[derive(Debug)]
struct Paths<'p> {
    /// Files that were opened by their absolute path, and others.
    files: [PathMatcher<'p>; 2],
    directories: [PathMatcher<'p>; 2],
    /// The paths of the other ones as their openers wrote them.
    raw: PathMatcher<'p>,
    /// What has a name and no path.
    names: PathMatcher<'p>,
}

impl<'p> Objects<'p> {
    pub(super) fn new<'i>(plan: &'p Plan, live: impl Iterator<Item = &'i Slot>) -> Objects<'p> {
        let mut wanted = vec![0; mask::words_for(plan.fd_atoms.len())];
        live.for_each(|slot| mask::add(&mut wanted, &slot.fd_atoms));
        let atoms = || {
            let placed = (0..).zip(&plan.fd_atoms).filter(|(bit, _)| mask::has(&wanted, *bit));
            placed.filter_map(|(bit, atom)| Some((bit, plan.formulas.atom_of(*atom)?)))
        };
        let parts: BTreeMap<u32, FdPart> = atoms().map(|(bit, atom)| (bit, part_of(atom))).collect();
        let with = |among: &dyn Fn(u32, FdPart) -> bool| {
            let wanted = |bit| parts.get(&bit).is_some_and(|part| among(bit, *part));
            Comparisons::new(&plan.formulas, &plan.fd_atoms, wanted, false)
        };
        let names = || atoms().filter(|(_, atom)| part_of(atom) == FdPart::Name);
        let open = names().filter(|(_, atom)| of_address(atom).is_none());
        let open: BTreeSet<u32> = open.map(|(bit, _)| bit).collect();
        let mut of_all_sockets = vec![0; mask::words_for(plan.fd_atoms.len())];
        let always = names().filter(|(_, atom)| of_address(atom) == Some(true));
        always.for_each(|(bit, _)| mask::set(&mut of_all_sockets, bit));
        Objects {
            paths: Paths::new(plan.fd_atoms.len(), atoms()),
            of_kind: with(&|_, part| part == FdPart::Kind),
            by_kind: BTreeMap::new(),
            of_sockets: with(&|bit, part| part == FdPart::Socket || open.contains(&bit)),
            of_all_sockets: of_all_sockets.into(),
            others: with(&|_, part| part == FdPart::Any),
            all: with(&|_, _| true),
            classes: Classes::new(plan.fd_atoms.len(), plan.words, |bits, out| {
                allow(plan, |i| i.fd, bits, out);
            }),
            verdicts: HashMap::new(),
            bits: vec![0; mask::words_for(plan.fd_atoms.len())],
        }
    }

    /// Whether it is to be forgotten and found again: a hostile recording may make any number of classes.
    pub(super) fn is_large(&self) -> bool {
        self.classes.len() > MAX_CLASSES || self.verdicts.len() > MAX_VERDICTS
    }

    pub(super) fn classes(&self) -> &Classes {
        &self.classes
    }

    /// The class of each open object.
    pub(super) fn classify(&mut self, plan: &Plan, dict: &Dictionaries, out: &mut Vec<u32>) {
        out.clear();
        self.paths.begin_block();
        let mut bits = std::mem::take(&mut self.bits);
        for index in 0..dict.fds.len() as u32 {
            out.push(dict.fd(index).map_or(0, |fd| self.class(plan, fd, &mut bits)));
        }
        self.bits = bits;
    }

    #[inline]
    fn class(&mut self, plan: &Plan, fd: FdView<'_>, bits: &mut [u64]) -> u32 {
        bits.fill(0);
        let path = fd.path();
        if fd.entry.socket.is_some() || path.is_empty() {
            return self.pathless(plan, fd, bits);
        }
        let matcher = self.paths.matcher(fd, bits);
        let folder = matcher.mark_cut(path, fd.dict.strings.cut(fd.entry.name), bits);
        let by_folder = fd.entry.kind.is_path() && self.others.is_empty() && !mask::any(bits);
        if by_folder && let Some(class) = matcher.class(folder) {
            return class;
        }
        mask::add(bits, matcher.bits(folder));
        let class = self.find(plan, fd, bits);
        if by_folder {
            self.paths.matcher(fd, &mut []).note_class(folder, class);
        }
        class
    }

    /// The class of a socket, or of what has no name.
    fn pathless(&mut self, plan: &Plan, fd: FdView<'_>, bits: &mut [u64]) -> u32 {
        let kind = fd.entry.kind;
        if fd.entry.socket.is_none() {
            // Nothing is asked of a path that is not known, but what was written may be.
            if kind.is_path() && !fd.path_raw().is_empty() {
                self.all.mark(Place::Fd(fd), bits);
            }
        } else if kind.is_path() {
            self.all.mark(Place::Fd(fd), bits);
        } else {
            self.of_sockets.mark(Place::Fd(fd), bits);
            mask::add(bits, &self.of_all_sockets);
        }
        self.find(plan, fd, bits)
    }

    /// The class of an object of which everything but the rest was compared.
    fn find(&mut self, plan: &Plan, fd: FdView<'_>, bits: &mut [u64]) -> u32 {
        match self.by_kind.get(&fd.entry.kind) {
            Some(known) => mask::add(bits, known),
            None => {
                let mut found = vec![0; bits.len()];
                self.of_kind.mark(Place::Fd(fd), &mut found);
                mask::add(bits, &found);
                self.by_kind.insert(fd.entry.kind, found.into());
            }
        }
        self.others.mark(Place::Fd(fd), bits);
        self.classes.find(bits, |bits, out| allow(plan, |i| i.fd, bits, out))
    }

    /// What image and open object together say of a slot.
    pub(super) fn verdict(&mut self, plan: &Plan, images: &Classes, key: (u32, u32, u32)) -> Option<bool> {
        let (slot, image, fd) = key;
        if let Some(known) = self.verdicts.get(&key) {
            return *known;
        }
        let node = plan.slot(slot)?.condition;
        let (image, fd) = (images.bits(image), self.classes.bits(fd));
        let verdict = plan.formulas.decides(node, &mut |atom| match plan.asked(atom) {
            Asked::Image(bit) => Some(mask::has(image, bit)),
            Asked::Fd(bit) => Some(mask::has(fd, bit)),
            Asked::Event => None,
        });
        self.verdicts.insert(key, verdict);
        verdict
    }
}

impl<'p> Paths<'p> {
    fn new(comparisons: usize, atoms: impl Iterator<Item = (u32, &'p Atom)>) -> Paths<'p> {
        let none = || PathMatcher::new(comparisons);
        let mut paths = Paths {
            files: [none(), none()],
            directories: [none(), none()],
            raw: none(),
            names: none(),
        };
        for (bit, atom) in atoms {
            if let Right::Test(test) = &atom.right {
                paths.add(part_of(atom), test, bit);
            }
        }
        paths.each().into_iter().for_each(PathMatcher::finish);
        paths
    }

    fn each(&mut self) -> [&mut PathMatcher<'p>; 6] {
        let Paths {
            files: [files, files_apart],
            directories: [directories, directories_apart],
            raw,
            names,
        } = self;
        [files, files_apart, directories, directories_apart, raw, names]
    }

    fn begin_block(&mut self) {
        self.each().into_iter().for_each(PathMatcher::begin_block);
    }

    fn add(&mut self, part: FdPart, test: &'p Test, bit: u32) {
        let [files, apart] = &mut self.files;
        let [directories, directories_apart] = &mut self.directories;
        let (subjects, raw): ([Option<Subject>; 3], bool) = match part {
            FdPart::Name => ([Some(Subject::Path); 3], false),
            FdPart::RawName => ([Some(Subject::Path), Some(Subject::Path), None], true),
            FdPart::Directory => ([Some(Subject::Folder), Some(Subject::Path), None], false),
            FdPart::Filename => ([Some(Subject::Name), None, None], false),
            FdPart::Any | FdPart::Kind | FdPart::Socket => return,
        };
        let [of_file, of_directory, of_name] = subjects;
        let add = |to: &mut PathMatcher<'p>, subject: Option<Subject>| {
            subject.into_iter().for_each(|subject| to.add(subject, test, bit));
        };
        add(files, of_file);
        add(directories, of_directory);
        add(&mut self.names, of_name);
        if raw {
            add(&mut self.raw, Some(Subject::Path));
        } else {
            add(apart, of_file);
            add(directories_apart, of_directory);
        }
    }

    /// What an object's path is to be held against. Where it was written otherwise, what holds for that is in `bits`
    /// then.
    fn matcher(&mut self, fd: FdView<'_>, bits: &mut [u64]) -> &mut PathMatcher<'p> {
        let of = match fd.entry.kind {
            FdKind::File => &mut self.files,
            FdKind::Directory => &mut self.directories,
            _ => return &mut self.names,
        };
        let [same, apart] = of;
        if fd.entry.name_raw == RawPath::Same {
            return same;
        }
        let raw = fd.path_raw();
        if !raw.is_empty() && !bits.is_empty() {
            let folder = self.raw.mark(raw, bits);
            mask::add(bits, self.raw.bits(folder));
        }
        apart
    }
}

fn part_of(atom: &Atom) -> FdPart {
    match (&atom.left, &atom.right) {
        (Extract::Field(field), Right::Test(_)) => field.fd_part(),
        _ => FdPart::Any,
    }
}

/// Whether the name of any internet socket satisfies a comparison: it is made of the digits of addresses and ports and
/// what stands between them. `None` where that depends on the socket.
fn of_address(atom: &Atom) -> Option<bool> {
    let Right::Test(test) = &atom.right else { return None };
    let fits = |text: &[u8]| text.iter().all(|b| b.is_ascii_hexdigit() || b":.->".contains(b));
    let open = match test {
        Test::Exists => return Some(true),
        Test::Str(StrTest::Compare(Operator::Ne, text)) if !fits(text) => return Some(true),
        Test::Str(StrTest::Compare(Operator::Eq | Operator::In | Operator::Intersects, text))
        | Test::Str(StrTest::StartsWith(text) | StrTest::EndsWith(text)) => fits(text),
        Test::Str(StrTest::In(set)) => set.iter().any(|text| fits(text)),
        Test::Str(StrTest::Contains(finder)) => fits(finder.needle()),
        Test::Str(StrTest::IContains(needle)) => fits(needle),
        Test::Str(StrTest::Glob(glob)) => fits(&glob.literal_start()) && fits(&glob.literal_part()),
        Test::Str(StrTest::Pmatch(paths)) => paths.any_first(fits),
        Test::Str(StrTest::Never) => false,
        _ => true,
    };
    if open { None } else { Some(false) }
}
