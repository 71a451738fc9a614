//! Staying within `--max-cpu` and `--max-disk`: what is left out for them, least important first, told to the kernel side
//! and recorded as gaps.

use std::collections::BTreeMap;

use ctrace_trace::case::Summary;
use ctrace_wire::spec::SyscallSpec;

use super::gaps::{Class, Gap};
use super::share::{CpuBound, Level};
use crate::host::{boot_time_ns, cpu_time_ns, utc_ns};
use crate::record_args::RecordArgs;
use crate::specs;
use crate::syscall::{LeftOut, SyscallSource};
use crate::syscall_set::SyscallSet;

/// Parts of the space that a case may have, from which on the mass and then files are left out: the rest is for what
/// matters most.
const DISK: (f64, f64) = (0.8, 0.9);
/// What is left out is recorded after this long, then after twice as long, up to the other.
const TELL_NS: (u64, u64) = (1_000_000_000, 16_000_000_000);

/// The options that ask for it, as gaps name them.
pub(super) const MAX_CPU: &str = "--max-cpu";
pub(super) const MAX_DISK: &str = "--max-disk";

/// What is left out for lack of something.
pub(super) struct Shedding {
    cpu: Option<CpuBound>,
    /// Where a case that has this many bytes ends.
    max_bytes: Option<u64>,
    asked: SyscallSet,
    /// What is recorded when nothing is left out.
    specs: Vec<SyscallSpec>,
    level: Level,
    windows: [Option<Window>; CLASSES.len()],
    /// Windows that are over and not recorded yet, with their ends.
    over: Vec<(Level, Window, u64)>,
    /// What was recorded so far of what the kernel side counted, by kind and CPU.
    told: BTreeMap<(usize, u32), u64>,
}

/// What is left out from which level on.
const CLASSES: [(Level, Class); 2] = [(Level::Bulk, Class::ShedBulk), (Level::Files, Class::ShedFiles)];

/// Since when a class is left out.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// What was recorded of it so far, UTC nanoseconds.
    told: u64,
    /// How long it is until more is.
    wait: u64,
    reason: &'static str,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) level: Level,
    pub(super) reason: &'static str,
}

impl Shedding {
    /// As the arguments bound the recorder.
    pub(super) fn new(args: &RecordArgs) -> Shedding {
        Shedding {
            cpu: args
                .max_cpu
                .map(|percent| CpuBound::new(percent, boot_time_ns(), cpu_time_ns())),
            // Where old segments make room for new ones there always is some.
            max_bytes: args.max_disk.filter(|_| args.keep.is_none()),
            specs: specs::recorded(args),
            ..Shedding::of(args.syscalls.clone())
        }
    }

    /// Without bounds.
    fn of(asked: SyscallSet) -> Shedding {
        Shedding {
            cpu: None,
            max_bytes: None,
            asked,
            specs: Vec::new(),
            level: Level::Nothing,
            windows: [None; CLASSES.len()],
            over: Vec::new(),
            told: BTreeMap::new(),
        }
    }

    /// Looks at what is used and tells the kernel side where something changes. `now` is UTC.
    pub(super) fn step(&mut self, source: &mut SyscallSource, summary: &Summary, now: u64) -> Option<Change> {
        let cpu = self
            .cpu
            .as_mut()
            .map_or(Level::Nothing, |bound| bound.level(boot_time_ns(), cpu_time_ns));
        let disk = self
            .max_bytes
            .map_or(Level::Nothing, |max| disk_level(summary.kept_bytes, max));
        let (level, reason) = if disk > cpu { (disk, MAX_DISK) } else { (cpu, MAX_CPU) };
        if level == self.level {
            return None;
        }
        // Where the kernel refuses, all goes on as it was.
        source.select(&specs::without(&self.specs, &self.asked, level)).ok()?;
        // The kernel side changes in between.
        self.change(level, reason, now, utc_ns());
        Some(Change { level, reason })
    }

    /// What is left out anew is so at the earlier time at the soonest, what is not any more at the later one at the latest.
    fn change(&mut self, level: Level, reason: &'static str, from: u64, to: u64) {
        self.level = level;
        for ((class, _), slot) in CLASSES.into_iter().zip(&mut self.windows) {
            match slot {
                None if level >= class => {
                    *slot = Some(Window {
                        told: from,
                        wait: TELL_NS.0,
                        reason,
                    });
                }
                // From now on they are recorded, whenever that is told.
                Some(window) if level < class => {
                    self.over.push((class, *window, to));
                    *slot = None;
                }
                _ => {}
            }
        }
    }

    /// What was left out and is not recorded yet; all of it at the end. `counted` is what the kernel side has counted by
    /// now, where that could be asked.
    pub(super) fn gaps(&mut self, now: u64, end: bool, counted: Option<&[LeftOut]>) -> Vec<Gap> {
        let mut windows = std::mem::take(&mut self.over);
        for ((level, _), slot) in CLASSES.into_iter().zip(&mut self.windows) {
            let Some(window) = slot else { continue };
            if end || now >= window.told.saturating_add(window.wait) {
                windows.push((level, *window, now));
                (window.told, window.wait) = (now, (2 * window.wait).min(TELL_NS.1));
            }
        }
        let gaps = windows.into_iter().flat_map(|(level, window, to)| {
            let counted = counted.map(|counted| self.untold(level, counted));
            window.gaps(level, to, counted)
        });
        gaps.collect()
    }

    /// What was counted of a level on each CPU and not recorded yet. It is when this is asked.
    fn untold(&mut self, level: Level, counted: &[LeftOut]) -> Vec<(u32, u64)> {
        let of_level = counted.iter().filter(|c| c.kind == usize::from(level.kind()));
        let new = of_level.map(|LeftOut { kind, cpu, count }| {
            let told = self.told.entry((*kind, *cpu)).or_default();
            (*cpu, count.saturating_sub(std::mem::replace(told, *count)))
        });
        new.filter(|(_, new)| *new > 0).collect()
    }
}

impl Window {
    /// What was left out since it was told last, by CPU; one gap without a number where nobody counted.
    fn gaps(&self, level: Level, to: u64, counted: Option<Vec<(u32, u64)>>) -> Vec<Gap> {
        let class = CLASSES.into_iter().find(|(of, _)| *of == level);
        let gap = |cpu, count| Gap {
            source: "syscalls",
            class: class.map_or(Class::ShedBulk, |(_, class)| class),
            count,
            cpu,
            from: self.told.min(to),
            to,
            reason: self.reason,
        };
        match counted {
            None => vec![gap(-1, 0)],
            Some(counted) => counted
                .into_iter()
                .map(|(cpu, count)| gap(i64::from(cpu), count))
                .collect(),
        }
    }
}

fn disk_level(bytes: u64, max: u64) -> Level {
    let part = bytes as f64 / max.max(1) as f64;
    if part >= DISK.1 {
        Level::Files
    } else if part >= DISK.0 {
        Level::Bulk
    } else {
        Level::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_told_bit_by_bit_and_to_its_end() {
        let second = TELL_NS.0;
        let mut shedding = Shedding::of(SyscallSet::all());
        shedding.change(Level::Bulk, MAX_CPU, 0, second / 2);
        let mut told = Vec::new();
        for now in 0..100 {
            if now == 90 {
                // Not when it is told, but when it is over.
                shedding.change(
                    Level::Nothing,
                    MAX_CPU,
                    now * second - second,
                    now * second - second / 2,
                );
            }
            for gap in shedding.gaps(now * second, false, None) {
                assert_eq!((gap.class, gap.reason, gap.count), (Class::ShedBulk, MAX_CPU, 0));
                told.push((gap.from / second, gap.to.div_ceil(second)));
            }
        }
        let expected = [
            (0, 1),
            (1, 3),
            (3, 7),
            (7, 15),
            (15, 31),
            (31, 47),
            (47, 63),
            (63, 79),
            (79, 90),
        ];
        assert_eq!(told, expected);
        assert_eq!(shedding.gaps(200 * second, true, None), []);
        shedding.change(Level::Files, MAX_CPU, 300 * second, 300 * second);
        shedding.change(Level::Bulk, MAX_CPU, 300 * second, 301 * second);
        let told = shedding.gaps(302 * second, true, None);
        let classes: Vec<_> = told.iter().map(|gap| (gap.class, gap.to / second)).collect();
        assert_eq!(classes, [(Class::ShedFiles, 301), (Class::ShedBulk, 302)]);
    }

    #[test]
    fn what_is_left_out_is_told_with_its_number_on_each_cpu() {
        let mut shedding = Shedding::of(SyscallSet::all());
        let counted = |bulk: [u64; 2], files: u64| {
            let of = |kind, cpu, count| LeftOut { kind, cpu, count };
            [of(0, 0, bulk[0]), of(0, 1, bulk[1]), of(1, 0, files), of(1, 1, 0)]
        };
        let told = |gaps: Vec<Gap>| {
            let number = |gap: &Gap| (gap.class, gap.cpu, gap.count, gap.from, gap.to);
            gaps.iter().map(number).collect::<Vec<_>>()
        };
        use Class::{ShedBulk, ShedFiles};
        shedding.change(Level::Files, MAX_CPU, 10, 11);
        let first = shedding.gaps(20, true, Some(&counted([5, 0], 7)));
        assert_eq!(told(first), [(ShedBulk, 0, 5, 10, 20), (ShedFiles, 0, 7, 10, 20)]);
        // Files are recorded again; what was left out of them until then is told now, and not a second time.
        shedding.change(Level::Bulk, MAX_CPU, 29, 30);
        let second = shedding.gaps(40, true, Some(&counted([5, 2], 9)));
        assert_eq!(told(second), [(ShedFiles, 0, 2, 20, 30), (ShedBulk, 1, 2, 20, 40)]);
        // Nothing was there to be left out: nothing is missing.
        assert_eq!(shedding.gaps(50, true, Some(&counted([5, 2], 9))), []);
    }

    #[test]
    fn the_last_part_of_the_disk_is_for_what_matters() {
        let levels = [0, 799, 800, 899, 900, 2000].map(|bytes| disk_level(bytes, 1000));
        use Level::{Bulk, Files, Nothing};
        assert_eq!(levels, [Nothing, Nothing, Bulk, Bulk, Files, Files]);
    }
}
