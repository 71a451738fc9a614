//! The live syscall source: kernel programs, their rings, and the records that come out of them.
//!
//! Order: [`SyscallSource::open`] loads and attaches; [`SyscallSource::poll`] is called on a timer (a few
//! milliseconds, more where little comes: see [`SyscallSource::wait`]); [`SyscallSource::detach`] stops the kernel side, after which polling until nothing is
//! [`SyscallSource::pending`] drains the rest. Dropping detaches.
//!
//! Records come ring by ring, and within a ring nearly but not exactly in time order, since some rings are filled by
//! all CPUs. A caller that needs the total order sorts by time stamp, and may only release what is older than the
//! start of the last complete poll.

mod attach;
mod btf;
mod host;
mod io_uring;
mod known;
mod load;
mod mapping;
mod record;
mod refusal;
mod ring;
mod scope;

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray},
};
use ctrace_wire::counters::{ASK_BYTES, FULL_PART};
use ctrace_wire::record::Header;
use ctrace_wire::spec::{IO_OPCODES, Lane, SyscallSpec};

pub use host::{Missing, boot_time_ns};
pub use io_uring::call_of;
pub(crate) use io_uring::{INSTALL, complete_call_of};
pub use known::KnownFiles;
pub use load::ProgramCost;
pub use record::{Malformed, Record, Section, Sections, SyscallView, UNREACHABLE, View};
pub use refusal::OpenError;
pub use scope::Scope;
pub(crate) use scope::is_below;

use ring::{Ring, Take};

/// What to record and how much memory to give it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Size of the bulk ring in bytes, rounded up to a power of two. Default 64 MiB, at least 64 KiB. Before that one each
    /// CPU has a ring of [`CPU_RING_BYTES`](ctrace_wire::cpu_ring::CPU_RING_BYTES), as far as this goes.
    pub bulk_ring_bytes: u32,
    /// Size of the priority ring in bytes, rounded up to a power of two. Default 8 MiB, at least 256 KiB.
    pub priority_ring_bytes: u32,
    /// What to record of each syscall, indexed by number; of 32-bit calls by number and
    /// [`ctrace_wire::spec::COMPAT_SPECS`]. A syscall beyond the end is not recorded.
    pub specs: Vec<SyscallSpec>,
    /// The process whose syscalls are left out, as the initial pid namespace numbers it. Default this one.
    pub self_tgid: u32,
    /// How many bytes of data buffers to keep, at most [`ctrace_wire::section::SNAPLEN_MAX`]. Default 0.
    pub snaplen: u32,
    /// Names of the environment variables that are kept of environments longer than
    /// [`ctrace_wire::section::ENV_MAX`]. None by default. With more than [`ctrace_wire::env::NAMES_MAX`] whatever fits is
    /// kept.
    pub env: Vec<Vec<u8>>,
    /// What to record of each opcode of io_uring: `SELECTED` and `PRIORITY` of [`ctrace_wire::spec`]. Nothing by default.
    pub io_opcodes: [u8; IO_OPCODES],
    /// Whose syscalls; everyone's by default.
    pub scope: Option<Scope>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bulk_ring_bytes: 64 << 20,
            priority_ring_bytes: 8 << 20,
            specs: Vec::new(),
            self_tgid: std::process::id(),
            snaplen: 0,
            env: Vec::new(),
            io_opcodes: [0; IO_OPCODES],
            scope: None,
        }
    }
}

/// Totals of one lane on one CPU since [`SyscallSource::open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneTotals {
    /// The lane.
    pub lane: Lane,
    /// The CPU, as the kernel numbers it.
    pub cpu: u32,
    /// Records that reached the ring.
    pub submitted: u64,
    /// Records that did not fit.
    pub lost: u64,
}

/// Calls that were asked for and left out on one CPU since [`SyscallSource::open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// As [`SyscallSpec::left_out`] has it, from 0 on.
    pub kind: usize,
    /// The CPU, as the kernel numbers it.
    pub cpu: u32,
    /// How many.
    pub count: u64,
}

/// What ends a [`SyscallSource::wait`], beside rings that fill.
#[derive(Clone, Copy, Debug, Default)]
pub struct Until<'a> {
    /// A file is executed that is not [known](SyscallSource::take_known).
    pub program: bool,
    /// This can be read.
    pub other: Option<BorrowedFd<'a>>,
}

/// What ended a [`SyscallSource::wait`]: the first of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// A ring fills.
    Full,
    /// See [`Until::program`].
    Program,
    /// See [`Until::other`].
    Other,
    /// A signal came.
    Signal,
    /// The time is over.
    Time,
}

/// Attached kernel programs and their rings.
pub struct SyscallSource {
    // Programs and links; gone after `detach`. The maps below live on.
    programs: Option<Ebpf>,
    /// That of the priority lane, that of the other, and those which processors have of their own for the other.
    rings: Vec<Ring>,
    /// Wakes for programs that are started.
    bell: Ring,
    /// Wakes where a ring fills.
    full: Ring,
    known: Option<KnownFiles>,
    counters: PerCpuArray<MapData, load::CountersValue>,
    processes: Option<scope::ProcessTable>,
    missing: Vec<Missing>,
    smallest_ring: u32,
    /// CPUs that may record.
    cpus: u32,
    malformed: u64,
    progress: Progress,
    /// How far the rings were filled when the last poll began; kept for its room.
    filled: Vec<usize>,
    skipped: u64,
}

impl SyscallSource {
    /// Loads the kernel programs and attaches them.
    ///
    /// Members of kernel structures and optional programs that this host lacks are no error: see
    /// [`SyscallSource::missing`].
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        load::open(config, || ())
    }

    /// Like [`SyscallSource::open`], and calls `meanwhile` when new processes, program starts and ends are recorded but
    /// syscalls are not yet. A process that is in neither /proc then nor in a fork record makes no syscall record. Called once
    /// more where the programs have to be loaded anew.
    pub fn open_after(config: &Config, meanwhile: impl FnMut()) -> Result<Self, OpenError> {
        load::open(config, meanwhile)
    }

    /// What this host could not give.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Hands over what the rings hold at the time of the call and returns how many records that were.
    ///
    /// Bounded: a record made after the call started ends the round of its ring but for the few that lie beside it, so that
    /// a busy host cannot keep the caller here.
    pub fn poll(&mut self, each: &mut impl FnMut(Record<'_>)) -> usize {
        // What is handed over was checked as it is when it is parsed.
        self.poll_bytes(&mut |_, bytes| {
            if let Ok(record) = Record::parse(bytes) {
                each(record);
            }
        })
    }

    /// Like [`SyscallSource::poll`], and hands over each record's header and its bytes for [`Record::parse`] at a later time.
    pub fn poll_bytes(&mut self, each: &mut impl FnMut(&Header, &[u8])) -> usize {
        /// Looks at records one by one.
        struct Each<'a, F>(&'a mut F);

        impl<F: FnMut(&Header, &[u8])> Keeper for Each<'_, F> {
            fn record(&mut self, _: usize, header: &Header, bytes: &[u8], _: usize) {
                (self.0)(header, bytes);
            }

            fn keep(&mut self, _: &[u8]) {}
        }

        self.poll_into(&mut Each(each))
    }

    /// Like [`SyscallSource::poll`], for one who keeps all bytes.
    pub(crate) fn poll_into(&mut self, keeper: &mut impl Keeper) -> usize {
        // What they rang for is taken now.
        self.bell.skip();
        self.full.skip();
        // Looked at before the clock is read: what is there by then lies in its ring before all that is later than now.
        self.filled.clear();
        self.filled.extend(self.rings.iter().map(Ring::filled));
        let now = boot_time_ns();
        let mut polled = Polled::default();
        for (number, ring) in self.rings.iter_mut().enumerate() {
            ring.read(&mut Drain {
                keeper: &mut *keeper,
                polled: &mut polled,
                number,
                now,
                newest: 0,
            });
        }
        let read = self.rings.iter().map(Ring::position);
        self.progress
            .polled(now, polled.records + polled.malformed, &self.filled, read);
        self.malformed += polled.malformed as u64;
        polled.records
    }

    /// Up to which time of the boot clock all records were handed over. Behind the last poll where a record was begun and
    /// not ended: those behind it in its ring cannot be read, while the other rings go on.
    pub fn settled_ns(&self) -> u64 {
        self.progress.settled_ns
    }

    /// For how long the rings can be left alone, whatever begins meanwhile; nothing where [`SyscallSource::wait`] ends in
    /// time when they fill.
    pub fn patience(&self) -> Option<Duration> {
        /// More than the records of one processor come to.
        const BYTES_A_MS: u64 = 200_000;
        let (ring, cpus) = (u64::from(self.smallest_ring), u64::from(self.cpus));
        // Each CPU may fill so much before it looks.
        if cpus * ASK_BYTES <= ring / FULL_PART {
            return None;
        }
        Some(Duration::from_millis(ring / (BYTES_A_MS * cpus.max(1))))
    }

    /// The files whose execs end no [`SyscallSource::wait`]: none at first. There is one such table, for the first who asks.
    pub fn take_known(&mut self) -> Option<KnownFiles> {
        self.known.take()
    }

    /// Waits, no longer than `at_most`, until a ring fills, and not at all where one did since the last poll. The same for
    /// what else is to end the wait. Other records do not, a signal does.
    pub fn wait(&self, at_most: Duration, until: &Until<'_>) -> Woken {
        // Of a negative descriptor nothing is ever ready.
        let waits = |fd: RawFd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        let bell = if until.program { self.bell.as_raw_fd() } else { -1 };
        let other = until.other.map_or(-1, |fd| fd.as_raw_fd());
        let mut fds = [waits(self.full.as_raw_fd()), waits(bell), waits(other)];
        // Rounded up: a wait for the rest of a millisecond is one.
        let ms = i32::try_from(at_most.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        // SAFETY: pollfds, which live through the call.
        let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, ms) };
        match fds.map(|fd| ready > 0 && fd.revents != 0) {
            [true, ..] => Woken::Full,
            [_, true, _] => Woken::Program,
            [_, _, true] => Woken::Other,
            _ if ready < 0 => Woken::Signal,
            _ => Woken::Time,
        }
    }

    /// Says of a process in a container whether that is one whose syscalls are to be recorded. Its later children follow
    /// it.
    pub fn judge(&self, pid: u32, container: &str, wanted: bool) {
        if let Some(processes) = &self.processes {
            scope::judge(processes, pid, container, wanted);
        }
    }

    /// Records from now on what a table says, as [`Config::specs`] does.
    ///
    /// # Errors
    /// Where the kernel refuses, or the programs are detached; some calls may then be recorded as the table says.
    pub fn select(&mut self, specs: &[SyscallSpec]) -> std::io::Result<()> {
        let detached = || std::io::Error::other("the programs are detached");
        let programs = self.programs.as_mut().ok_or_else(detached)?;
        load::fill_specs(programs, specs).map_err(std::io::Error::other)
    }

    /// Records that could not be parsed: a defect, never a property of the host.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Totals per lane and CPU, ordered by lane, then CPU.
    ///
    /// They may grow for a moment after [`SyscallSource::detach`]: see there.
    pub fn totals(&self) -> std::io::Result<Vec<LaneTotals>> {
        load::totals(&self.counters)
    }

    /// What was left out per kind and CPU, ordered by kind, then CPU.
    pub fn left_out(&self) -> std::io::Result<Vec<LeftOut>> {
        load::left_out(&self.counters)
    }

    /// Times that the kernel did not run a program because the same program was already running on that CPU.
    ///
    /// Each is a record that was never made. Linux before 5.12 does not count them, and this is 0 there.
    pub fn skipped(&self) -> u64 {
        self.programs.as_ref().map_or(self.skipped, host::skipped_runs)
    }

    /// Detaches the programs and waits for those that were running. What the rings hold stays there to be polled.
    pub fn detach(&mut self) {
        self.skipped = self.skipped();
        if let Some(programs) = self.programs.take() {
            attach::detach(programs);
        }
        // A program that was interrupted within a record keeps every later record of its ring from being read.
        // Programs run within an RCU read section, and this call returns after all of those (membarrier(2)). Where
        // it is refused, and for a thread that lost its CPU just before its program, there is `pending`.
        // SAFETY: no preconditions.
        unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
    }

    /// Records that reached a ring and were not polled yet.
    pub fn pending(&self) -> std::io::Result<u64> {
        let submitted = self.totals()?.iter().map(|t| t.submitted).sum::<u64>();
        Ok(submitted.saturating_sub(self.progress.polled))
    }

    /// What each loaded program cost the verifier, by name.
    pub fn program_costs(&self) -> Vec<ProgramCost> {
        self.programs.as_ref().map(load::costs).unwrap_or_default()
    }
}

/// How far the rings were read.
#[derive(Debug, Default)]
struct Progress {
    /// Records that were taken.
    polled: u64,
    settled_ns: u64,
}

impl Progress {
    /// So many records were taken, and the rings read so far. At `now` they had been filled so far.
    fn polled(&mut self, now: u64, count: usize, filled: &[usize], read: impl Iterator<Item = usize>) {
        self.polled += count as u64;
        if read.zip(filled).all(|(read, filled)| read >= *filled) {
            self.settled_ns = now;
        }
    }
}

/// Keeps what the rings hold: many records are copied at once.
pub(crate) trait Keeper {
    /// Takes note of a record of the ring with this number, which begins so far in what is kept next. Those of a ring come
    /// nearly in the order of time, and the first ring has what matters most.
    fn record(&mut self, ring: usize, header: &Header, bytes: &[u8], at: usize);

    /// Keeps the bytes in which the records lie of which note was taken.
    fn keep(&mut self, bytes: &[u8]);
}

/// How many records were taken.
#[derive(Default)]
struct Polled {
    records: usize,
    malformed: usize,
}

/// Takes what a ring holds.
struct Drain<'a, K> {
    keeper: &'a mut K,
    polled: &'a mut Polled,
    /// Of the ring.
    number: usize,
    /// The round ends with the stretch that has a record newer than this.
    now: u64,
    newest: u64,
}

impl<K: Keeper> Take for Drain<'_, K> {
    #[inline]
    fn record(&mut self, at: usize, bytes: &[u8]) {
        match record::check(bytes) {
            Ok(header) => {
                self.newest = self.newest.max(header.ts);
                self.polled.records += 1;
                self.keeper.record(self.number, &header, bytes, at);
            }
            Err(Malformed) => self.polled.malformed += 1,
        }
    }

    #[inline]
    fn stretch(&mut self, bytes: &[u8]) -> bool {
        self.keeper.keep(bytes);
        self.newest <= self.now
    }
}

#[cfg(test)]
mod tests {
    use super::Progress;

    #[test]
    fn a_ring_that_cannot_be_read_to_its_end_holds_back_all() {
        let mut progress = Progress::default();
        let mut polled = |now, count, filled: [usize; 3], read: [usize; 3]| {
            progress.polled(now, count, &filled, read.into_iter());
            (progress.settled_ns, progress.polled)
        };
        let more = polled(10, 8, [200, 500, 0], [200, 600, 0]);
        assert_eq!(more, (10, 8), "what came meanwhile is more than all");
        // A record of the first ring is not finished.
        assert_eq!(polled(20, 2, [400, 800, 0], [200, 800, 0]), (10, 10));
        assert_eq!(polled(30, 1, [500, 900, 8], [200, 900, 8]), (10, 11));
        assert_eq!(polled(40, 4, [600, 900, 8], [600, 900, 8]), (40, 15));
        // And one of the last.
        assert_eq!(polled(50, 1, [600, 900, 16], [600, 900, 8]), (40, 16));
    }
}
