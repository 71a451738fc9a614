//! The descriptors of one process: number → what is behind it.
//!
//! A table is chunks of 16 numbers, shared by reference between a process and what it forked until one of them changes a
//! chunk: forking a process with a thousand descriptors copies 63 references. Most processes have fewer than 16, and a
//! program that is started changes one chunk: the first lies in the table itself, the others in a sorted list. One thread
//! has all tables: counting references for several would make the processor wait, at each open and close, for all it has
//! written.

use std::cell::Cell;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;

use ctrace_trace::fd::FdEntry;
use hashbrown::HashMap;

use super::budget::weight_of_entry;

const CHUNK_BITS: u32 = 4;
const CHUNK_LEN: usize = 1 << CHUNK_BITS;
/// A bit for each number of a chunk.
type Bits = u16;
/// Chunks that every process may have whatever the budget: one process with very many descriptors must not make the
/// recorder blind to the others.
const FREE_CHUNKS: u32 = 8;
/// Most chunks of a table that are looked through for an entry.
const SEARCHED_CHUNKS: usize = 64;
/// What a chunk takes, and its place in a table.
const CHUNK_BYTES: usize = size_of::<Chunk>() + size_of::<(u32, Rc<Chunk>)>();

/// Which numbers of a chunk are open, of a bit for each from number 0 on; `None` where that says nothing about them.
fn open_of(open: &[u8], nr: u32) -> Option<Bits> {
    let (chunks, _) = open.as_chunks();
    chunks.get(nr as usize).map(|bits| Bits::from_le_bytes(*bits))
}

/// Counts the chunks of all tables, so that processes with very many descriptors cannot take all memory.
#[derive(Clone, Debug)]
pub(crate) struct ChunkBudget {
    live: Rc<Cell<usize>>,
    max: usize,
}

impl ChunkBudget {
    pub(crate) fn new(max_fds: usize) -> ChunkBudget {
        ChunkBudget {
            live: Rc::default(),
            max: max_fds.div_ceil(CHUNK_LEN).max(1),
        }
    }

    fn is_spent(&self) -> bool {
        self.live.get() >= self.max
    }

    /// How many chunks there are.
    #[cfg(test)]
    pub(crate) fn live(&self) -> usize {
        self.live.get()
    }
}

/// One chunk's share of the budget, given back when the chunk is dropped.
#[derive(Debug)]
struct Share(Rc<Cell<usize>>);

impl Share {
    fn take(live: &Rc<Cell<usize>>) -> Share {
        live.set(live.get() + 1);
        Share(live.clone())
    }
}

impl Clone for Share {
    fn clone(&self) -> Share {
        Share::take(&self.0)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// In this order what low numbers need is mostly in one line of the cache.
#[derive(Clone, Debug)]
#[repr(C)]
struct Chunk {
    /// Which of its numbers are taken.
    used: Bits,
    /// Which of them are closed by `exec`.
    cloexec: Bits,
    /// Which were asked of the host in vain: they are not asked for again until the number is used anew.
    missed: Bits,
    entries: [Option<Arc<FdEntry>>; CHUNK_LEN],
    _share: Share,
}

impl Chunk {
    #[inline(never)]
    fn begin(budget: &ChunkBudget) -> Rc<Chunk> {
        Rc::new(Chunk {
            entries: [const { None }; CHUNK_LEN],
            used: 0,
            cloexec: 0,
            missed: 0,
            _share: Share::take(&budget.live),
        })
    }

    /// To be changed: nobody else has it then.
    #[inline(always)]
    fn own(shared: &mut Rc<Chunk>) -> Option<&mut Chunk> {
        if Rc::strong_count(shared) > 1 {
            Chunk::separate(shared);
        }
        Rc::get_mut(shared)
    }

    #[inline(never)]
    fn separate(shared: &mut Rc<Chunk>) {
        *shared = Rc::new(Chunk::clone(shared));
    }

    fn is_empty(&self) -> bool {
        self.missed | self.used == 0
    }

    /// What its entries take: of those that others have too its part.
    fn bytes(&self) -> usize {
        let entries = self.entries.iter().flatten();
        entries
            .map(|entry| weight_of_entry(entry) / Arc::strong_count(entry))
            .sum()
    }

    fn clear(&mut self, mask: Bits) {
        let mut left = mask & self.used;
        while left != 0 {
            if let Some(entry) = self.entries.get_mut(left.trailing_zeros() as usize) {
                *entry = None;
            }
            left &= left - 1;
        }
        self.unmark(mask);
    }

    /// Says that numbers are free, which have no entries any more.
    fn unmark(&mut self, mask: Bits) {
        self.used &= !mask;
        self.cloexec &= !mask;
        self.missed &= !mask;
    }
}

/// A table's part of what the entries of chunks take that it has with others: each chunk is looked through once, whatever
/// number of tables have it.
#[derive(Debug, Default)]
pub(crate) struct Parts(HashMap<*const Chunk, usize>);

impl Parts {
    fn of(&mut self, chunk: &Rc<Chunk>) -> usize {
        match Rc::strong_count(chunk) {
            1 => chunk.bytes(),
            tables => *self
                .0
                .entry(Rc::as_ptr(chunk))
                .or_insert_with(|| chunk.bytes() / tables),
        }
    }
}

/// The descriptors of one process.
#[derive(Clone, Debug)]
pub(crate) struct FdTable {
    /// That of the numbers below 16.
    first: Option<Rc<Chunk>>,
    /// The others, sorted by their number (descriptor number / 16).
    others: Vec<(u32, Rc<Chunk>)>,
    budget: ChunkBudget,
}

impl FdTable {
    pub(crate) fn new(budget: &ChunkBudget) -> FdTable {
        FdTable {
            first: None,
            others: Vec::new(),
            budget: budget.clone(),
        }
    }

    /// Takes all out of it.
    pub(crate) fn take(&mut self) -> FdTable {
        let none = FdTable::new(&self.budget);
        mem::replace(self, none)
    }

    /// What is behind a descriptor, where it is known.
    #[inline(always)]
    pub(crate) fn get(&self, fd: i32) -> Option<&Arc<FdEntry>> {
        let (chunk, bit) = self.chunk(fd)?;
        chunk.entries.get(bit)?.as_ref()
    }

    /// Whether `exec` closes it.
    pub(crate) fn is_cloexec(&self, fd: i32) -> bool {
        self.chunk(fd).is_some_and(|(c, bit)| c.cloexec >> bit & 1 == 1)
    }

    /// Whether the host was asked for it in vain.
    pub(crate) fn is_missed(&self, fd: i32) -> bool {
        self.chunk(fd).is_some_and(|(c, bit)| c.missed >> bit & 1 == 1)
    }

    /// Puts an object behind a number; `false` when the budget of all tables is spent and it was not kept.
    #[inline(always)]
    pub(crate) fn insert(&mut self, fd: i32, entry: Arc<FdEntry>, cloexec: bool) -> bool {
        let Some((chunk, bit)) = self.chunk_mut(fd) else {
            return fd < 0;
        };
        if let Some(slot) = chunk.entries.get_mut(bit) {
            *slot = Some(entry);
        }
        chunk.used |= 1 << bit;
        chunk.cloexec = chunk.cloexec & !(1 << bit) | Bits::from(cloexec) << bit;
        chunk.missed &= !(1 << bit);
        true
    }

    /// Puts another entry behind a number that is in use, keeping its close-on-exec flag.
    pub(crate) fn replace(&mut self, fd: i32, entry: Arc<FdEntry>) -> bool {
        let cloexec = self.is_cloexec(fd);
        self.insert(fd, entry, cloexec)
    }

    /// Puts another entry wherever one is. Of very many numbers only the first are looked at.
    #[inline(never)]
    pub(crate) fn replace_all(&mut self, old: &Arc<FdEntry>, new: &Arc<FdEntry>) {
        let is_old = |entry: &Arc<FdEntry>| Arc::ptr_eq(entry, old);
        for (_, shared) in self.each_mut().take(SEARCHED_CHUNKS) {
            if shared.entries.iter().flatten().any(is_old)
                && let Some(chunk) = Chunk::own(shared)
            {
                let found = chunk.entries.iter_mut().flatten().filter(|entry| is_old(entry));
                found.for_each(|entry| entry.clone_from(new));
            }
        }
    }

    /// Puts what is behind a number behind another one too, or nothing where it is not known; `false` as [`Self::insert`].
    #[inline(never)]
    pub(crate) fn duplicate(&mut self, old: i32, new: i32, cloexec: bool) -> bool {
        if old == new {
            return true;
        }
        match self.get(old).cloned() {
            Some(entry) => self.insert(new, entry, cloexec),
            None => {
                self.remove(new);
                true
            }
        }
    }

    #[inline(never)]
    pub(crate) fn set_cloexec(&mut self, fd: i32, cloexec: bool) {
        if self.is_cloexec(fd) != cloexec
            && let Some((chunk, bit)) = self.chunk_mut(fd)
        {
            chunk.cloexec ^= 1 << bit;
        }
    }

    /// Remembers that the host was asked in vain, among the numbers that programs use; for others, which a program may
    /// make up, that would cost more than asking again.
    pub(crate) fn set_missed(&mut self, fd: i32) {
        if fd < (FREE_CHUNKS << CHUNK_BITS) as i32
            && let Some((chunk, bit)) = self.chunk_mut(fd)
        {
            chunk.missed |= 1 << bit;
        }
    }

    /// Forgets a descriptor; hands out what was behind it.
    #[inline(always)]
    pub(crate) fn remove(&mut self, fd: i32) -> Option<Arc<FdEntry>> {
        let (nr, bit) = FdTable::split(fd)?;
        // The first chunk is needed again by the next open.
        match nr {
            0 => FdTable::take_out(self.first.as_mut()?, bit),
            _ => self.remove_far(nr, bit),
        }
    }

    #[inline(never)]
    fn remove_far(&mut self, nr: u32, bit: usize) -> Option<Arc<FdEntry>> {
        let at = self.position(nr).ok()?;
        let (_, chunk) = self.others.get_mut(at)?;
        let entry = FdTable::take_out(chunk, bit);
        if chunk.is_empty() {
            self.others.remove(at);
        }
        entry
    }

    /// Takes a number out of a chunk.
    #[inline(always)]
    fn take_out(chunk: &mut Rc<Chunk>, bit: usize) -> Option<Arc<FdEntry>> {
        if (chunk.used | chunk.missed) >> bit & 1 == 0 {
            return None;
        }
        let chunk = Chunk::own(chunk)?;
        chunk.unmark(1 << bit);
        chunk.entries.get_mut(bit)?.take()
    }

    /// Forgets all of them.
    pub(crate) fn forget(&mut self) {
        self.first = None;
        self.others = Vec::new();
    }

    /// Forgets the descriptors `first` to `last`, both included, but those that are open by the kernel's word: see
    /// [`open_of`].
    pub(crate) fn remove_range(&mut self, first: u32, last: u32, open: &[u8]) {
        self.each_in_range(first, last, |nr, chunk, mask| {
            chunk.clear(mask & !open_of(open, nr).unwrap_or(0));
        });
        self.drop_empty();
    }

    /// Marks the descriptors `first` to `last` as closed by `exec`.
    pub(crate) fn cloexec_range(&mut self, first: u32, last: u32) {
        self.each_in_range(first, last, |_, chunk, mask| chunk.cloexec |= mask);
    }

    /// Forgets what `exec` closed: what is not open by the kernel's word (see [`open_of`]), and of what that says nothing
    /// about, what was marked to be closed.
    pub(crate) fn exec(&mut self, open: &[u8]) {
        for (nr, shared) in self.each_mut() {
            let closed = match open_of(open, nr) {
                Some(open) => shared.used & !open,
                None => shared.cloexec,
            };
            if shared.cloexec | closed != 0
                && let Some(chunk) = Chunk::own(shared)
            {
                chunk.clear(closed);
                chunk.cloexec = 0;
            }
        }
        self.drop_empty();
    }

    fn drop_empty(&mut self) {
        self.first.take_if(|chunk| chunk.is_empty());
        self.others.retain(|(_, chunk)| !chunk.is_empty());
    }

    /// All chunks, with their numbers.
    fn each_mut(&mut self) -> impl Iterator<Item = (u32, &mut Rc<Chunk>)> {
        let first = self.first.iter_mut().map(|chunk| (0, chunk));
        first.chain(self.others.iter_mut().map(|(nr, chunk)| (*nr, chunk)))
    }

    fn each(&self) -> impl Iterator<Item = &Rc<Chunk>> {
        self.first.iter().chain(self.others.iter().map(|(_, chunk)| chunk))
    }

    /// What its chunks take. Those that it has with others count as its own: they become that when it changes them, which
    /// is one call for all.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        (usize::from(self.first.is_some()) + self.others.len()) * CHUNK_BYTES
    }

    /// What the table takes with its entries: of those that others have too its part.
    pub(crate) fn bytes(&self, parts: &mut Parts) -> usize {
        self.room() + self.each().map(|chunk| parts.of(chunk)).sum::<usize>()
    }

    /// How many descriptors are known.
    pub(crate) fn len(&self) -> usize {
        self.each().map(|chunk| chunk.used.count_ones() as usize).sum()
    }

    /// All known descriptors in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i32, &Arc<FdEntry>)> {
        let first = self.first.iter().map(|chunk| (0, chunk));
        let all = first.chain(self.others.iter().map(|(nr, chunk)| (*nr, chunk)));
        all.flat_map(|(nr, chunk)| {
            let base = (nr << CHUNK_BITS) as i32;
            let entries = chunk.entries.iter().enumerate();
            entries.filter_map(move |(i, e)| Some((base + i as i32, e.as_ref()?)))
        })
    }

    /// The chunk of a number and its place there. Numbers below `1 << 26` fit every kernel's `nr_open` that is in use; others are never in a table.
    fn split(fd: i32) -> Option<(u32, usize)> {
        let fd = u32::try_from(fd).ok().filter(|fd| *fd < 1 << 26)?;
        Some((fd >> CHUNK_BITS, fd as usize % CHUNK_LEN))
    }

    /// Where the chunk of a number is among the others, or belongs.
    fn position(&self, nr: u32) -> Result<usize, usize> {
        // Descriptors are handed out from the lowest number, so a table nearly always has no holes.
        let usual = (nr as usize).wrapping_sub(1);
        match self.others.get(usual) {
            Some((n, _)) if *n == nr => Ok(usual),
            _ => self.others.binary_search_by_key(&nr, |(n, _)| *n),
        }
    }

    #[inline(always)]
    fn chunk(&self, fd: i32) -> Option<(&Chunk, usize)> {
        let (nr, bit) = FdTable::split(fd)?;
        let chunk = match nr {
            0 => self.first.as_deref(),
            _ => self.far(nr),
        };
        Some((chunk?, bit))
    }

    #[inline(never)]
    fn far(&self, nr: u32) -> Option<&Chunk> {
        let (_, chunk) = self.others.get(self.position(nr).ok()?)?;
        Some(chunk)
    }

    #[inline(always)]
    fn chunk_mut(&mut self, fd: i32) -> Option<(&mut Chunk, usize)> {
        let (nr, bit) = FdTable::split(fd)?;
        let chunk = match nr {
            0 => {
                let FdTable { first, budget, .. } = self;
                first.get_or_insert_with(|| Chunk::begin(budget))
            }
            _ => self.far_mut(nr)?,
        };
        Some((Chunk::own(chunk)?, bit))
    }

    #[inline(never)]
    fn far_mut(&mut self, nr: u32) -> Option<&mut Rc<Chunk>> {
        let at = match self.position(nr) {
            Ok(at) => at,
            Err(_) if nr >= FREE_CHUNKS && self.budget.is_spent() => return None,
            Err(at) => {
                self.others.insert(at, (nr, Chunk::begin(&self.budget)));
                at
            }
        };
        self.others.get_mut(at).map(|(_, chunk)| chunk)
    }

    /// Calls `change` for each chunk that has numbers in the range, with the mask of those numbers.
    fn each_in_range(&mut self, first: u32, last: u32, change: impl Fn(u32, &mut Chunk, Bits)) {
        for (nr, shared) in self.each_mut() {
            let (low, high) = (nr << CHUNK_BITS, (nr << CHUNK_BITS) + (CHUNK_LEN as u32 - 1));
            if first > last || first > high || last < low {
                continue;
            }
            let (from, to) = (first.max(low) - low, last.min(high) - low);
            let mask = Bits::MAX >> (CHUNK_LEN as u32 - 1 - (to - from)) << from;
            if let Some(chunk) = Chunk::own(shared) {
                change(nr, chunk, mask);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrace_trace::fd::FdKind;

    fn entry(id: u64) -> Arc<FdEntry> {
        Arc::new(FdEntry {
            id,
            kind: FdKind::File,
            name: format!("/f{id}").into_bytes(),
            name_raw: Vec::new(),
            open_flags: 0,
            dev: 0,
            ino: 0,
            socket: None,
        })
    }

    fn numbers(t: &FdTable) -> Vec<i32> {
        t.iter().map(|(fd, _)| fd).collect()
    }

    fn filled(fds: impl IntoIterator<Item = i32>) -> FdTable {
        let mut t = FdTable::new(&ChunkBudget::new(1 << 20));
        for fd in fds {
            assert!(t.insert(fd, entry(fd as u64), fd % 2 == 1));
        }
        t
    }

    #[test]
    fn a_fork_shares_until_one_side_writes() {
        let parent = filled(0..1000);
        let budget = parent.budget.clone();
        assert_eq!(budget.live(), 63);
        let mut child = parent.clone();
        assert_eq!(budget.live(), 63);
        child.remove(500);
        assert_eq!(budget.live(), 64);
        assert!(child.get(500).is_none());
        assert_eq!(parent.get(500).map(|e| e.id), Some(500));
        drop(child);
        assert_eq!(budget.live(), 63);
    }

    #[test]
    fn exec_closes_what_is_marked() {
        let mut t = filled([0, 1, 2, 3, 70, 71]);
        t.set_cloexec(1, false);
        t.set_cloexec(70, true);
        t.exec(&[]);
        assert_eq!(numbers(&t), [0, 1, 2]);
    }

    #[test]
    fn ranges_cross_chunks() {
        for (first, last, want) in [
            (3, u32::MAX, vec![0, 1, 2]),
            (0, 63, vec![64, 127, 128, 5000]),
            (63, 64, vec![0, 1, 2, 3, 127, 128, 5000]),
            (127, 128, vec![0, 1, 2, 3, 63, 64, 5000]),
            (70, 65, vec![0, 1, 2, 3, 63, 64, 127, 128, 5000]),
            (5000, 4, vec![0, 1, 2, 3, 63, 64, 127, 128, 5000]),
        ] {
            let mut t = filled([0, 1, 2, 3, 63, 64, 127, 128, 5000]);
            t.remove_range(first, last, &[]);
            assert_eq!(numbers(&t), want, "close_range({first}, {last})");
        }
        let mut t = filled([0, 2, 64]);
        t.cloexec_range(2, u32::MAX);
        assert_eq!(
            numbers(&t).into_iter().filter(|f| t.is_cloexec(*f)).collect::<Vec<_>>(),
            [2, 64]
        );
    }

    #[test]
    fn far_numbers_cost_one_chunk_and_absurd_ones_nothing() {
        let mut t = filled([1_048_575]);
        assert_eq!(t.budget.live(), 1);
        assert!(t.get(1_048_575).is_some());
        assert!(!t.insert(i32::MAX, entry(1), false));
        assert!(t.get(-1).is_none());
        assert!(t.get(-100).is_none());
    }

    #[test]
    fn a_spent_budget_refuses_new_chunks_only() {
        let budget = ChunkBudget::new(256);
        let mut greedy = FdTable::new(&budget);
        let kept = (0..1000).filter(|n| greedy.insert(n * 64, entry(1), false));
        assert_eq!(kept.count(), 16);
        assert!(greedy.insert(1, entry(3), false));
        let mut other = FdTable::new(&budget);
        assert!(other.insert(127, entry(1), false), "the others go on");
        assert!(!other.insert(128, entry(1), false));
        drop(greedy);
        assert!(other.insert(128, entry(1), false), "what is closed is given back");
    }

    #[test]
    fn what_is_duplicated_is_the_same_and_what_is_unknown_stays_so() {
        let mut t = filled([3, 4, 20]);
        for (old, new, cloexec) in [(3, 5, true), (20, 4, false), (3, 40, true), (4, 4, true)] {
            assert!(t.duplicate(old, new, cloexec));
            assert!(Arc::ptr_eq(t.get(old).unwrap(), t.get(new).unwrap()));
        }
        let marked = [3, 4, 5, 20, 40].map(|fd| t.is_cloexec(fd));
        assert_eq!(marked, [true, false, true, false, true]);
        assert!(t.duplicate(9, 5, false));
        assert_eq!(numbers(&t), [3, 4, 20, 40]);
    }

    #[test]
    fn a_miss_is_remembered_until_the_number_is_used_anew() {
        let mut t = filled([]);
        t.set_missed(7);
        assert!(t.is_missed(7));
        assert!(t.get(7).is_none());
        t.insert(7, entry(1), false);
        assert!(!t.is_missed(7));
        t.set_missed(8);
        t.remove(8);
        assert!(!t.is_missed(8));
        t.set_missed(1 << 20);
        assert_eq!(t.budget.live(), 1, "a number that was made up costs nothing");
    }
}
