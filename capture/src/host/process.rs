//! A running process as `/proc/PID` shows it. Any file may be gone from one moment to the next.

use std::collections::BTreeSet;

use ctrace_trace::process::{Namespaces, ProcessImage, exe_flag};
use ctrace_trace::text::Text;

use super::cgroup::container_of;
use super::clock::Clock;
use super::fd::{HostFd, stat};
use super::procfs::{decimal, lines, link, numbers, read, read_trimmed, words};

/// Longest argument list, or environment, that is taken.
const MAX_STRINGS: u64 = 64 * 1024;
/// At the end of an argument list or environment of which more was there than is kept.
pub(crate) const TRUNCATED: &[u8] = b"...";
/// Largest environment that is searched for the selected variables.
const MAX_ENVIRONMENT: u64 = 1 << 20;
/// Most threads of one process that are kept.
const MAX_THREADS: usize = 65_536;
/// Length of a name (`TASK_COMM_LEN` less its NUL). Of the kernel's own threads /proc shows more, records do not.
const MAX_COMM: usize = 15;
/// `PF_KTHREAD` (`linux/sched.h`).
const KERNEL_THREAD: u64 = 0x0020_0000;
const CAP_DAC_OVERRIDE: u32 = 1;

/// A process and what belongs to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostProcess {
    /// The process. `id`, `container`, `parent` and the names of its ids are left open; `exec_ts` is not
    /// known.
    pub image: ProcessImage,
    /// When it began on the boot clock, nanoseconds: the tick before, of a hundred in a second.
    pub start_ns: u64,
    /// Inode number of its cgroup's folder in the v2 hierarchy; 0 when unknown.
    pub cgroup_id: u64,
    /// Its root folder; empty for the root of its mount namespace.
    pub root: Vec<u8>,
    /// Its threads' ids, the leader's included, in ascending order.
    pub threads: Vec<u32>,
    /// Whether it is a thread of the kernel.
    pub is_kernel_thread: bool,
    /// Its open descriptors, where they were read.
    pub fds: Vec<HostFd>,
}

/// Which environment variables are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvSelection {
    names: BTreeSet<Vec<u8>>,
}

impl EnvSelection {
    /// The loader's variables that make a process run other code than its file, and those that are named.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> EnvSelection {
        let always = [&b"LD_PRELOAD"[..], b"LD_LIBRARY_PATH"];
        EnvSelection {
            names: always.into_iter().chain(names).map(<[u8]>::to_vec).collect(),
        }
    }

    /// The names, in ascending order.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().map(Vec::as_slice)
    }

    /// The selected variables of a NUL-separated environment.
    fn select(&self, environment: &[u8]) -> Vec<u8> {
        let name = |variable: &&[u8]| {
            variable
                .split(|b| *b == b'=')
                .next()
                .is_some_and(|n| self.names.contains(n))
        };
        let kept: Vec<&[u8]> = environment.split(|b| *b == 0).filter(name).collect();
        let mut kept = kept.join(&0);
        kept.truncate(MAX_STRINGS as usize);
        kept
    }
}

impl Default for EnvSelection {
    fn default() -> EnvSelection {
        EnvSelection::new([])
    }
}

/// Leaves the beginning of strings that are longer than `most` bytes, with `...` behind it.
pub(crate) fn cut_strings(strings: &mut Text, most: usize) {
    let longer = strings.len() > most;
    if let Some((begin, _)) = strings.split_at_checked(most - TRUNCATED.len()).filter(|_| longer) {
        *strings = [begin, TRUNCATED].concat().into();
    }
}

/// Reads a process without its descriptors; `None` when it is gone.
pub fn read_process(pid: u32, clock: &Clock, env: &EnvSelection) -> Option<HostProcess> {
    let file = |name: &str| format!("/proc/{pid}/{name}");
    let stat = Stat::parse(&read(file("stat"), 64 * 1024)?)?;
    let status = Status::parse(&read(file("status"), 64 * 1024)?);
    let mut image = ProcessImage {
        pid,
        ppid: stat.ppid,
        vpid: status.vpid.unwrap_or(pid),
        sid: stat.session,
        pgid: stat.group,
        tty: stat.tty,
        start_ts: clock.utc(stat.start_ns),
        name: stat.comm,
        uid: status.uids[0],
        euid: status.uids[1],
        gid: status.gids[0],
        egid: status.gids[1],
        loginuid: read_trimmed(file("loginuid"))
            .and_then(|t| decimal(&t))
            .unwrap_or(u32::MAX),
        cap_permitted: status.cap_permitted,
        cap_effective: status.cap_effective,
        cap_inheritable: status.cap_inheritable,
        namespaces: namespaces(pid),
        cgroup: cgroup(&read(file("cgroup"), 1 << 20).unwrap_or_default()),
        ..ProcessImage::default()
    };
    let mut process = HostProcess {
        start_ns: stat.start_ns,
        is_kernel_thread: stat.flags & KERNEL_THREAD != 0,
        ..HostProcess::default()
    };
    if process.is_kernel_thread {
        process.threads = vec![pid];
    } else {
        let mut argv = read(file("cmdline"), MAX_STRINGS).unwrap_or_default();
        if argv.ends_with(b"\0") {
            argv.pop();
        } else if argv.len() as u64 == MAX_STRINGS {
            argv.extend(TRUNCATED);
        }
        image.argv = argv.into();
        let environment = read(file("environ"), MAX_ENVIRONMENT).unwrap_or_default();
        image.env = env.select(&environment).into();
        image.cwd = link(file("cwd")).unwrap_or_default();
        process.root = link(file("root")).filter(|root| root != b"/").unwrap_or_default();
        process.threads = numbers(file("task"));
        process.threads.truncate(MAX_THREADS);
        take_exe(&mut image);
    }
    process.image = image;
    Some(process)
}

/// The working directory and the root of a process, empty for that of its mount namespace; `None` when it is gone or one
/// of them was deleted.
pub(crate) fn read_directories(pid: u32) -> Option<(Vec<u8>, Vec<u8>)> {
    let read = |name| link(format!("/proc/{pid}/{name}")).filter(|path| !path.ends_with(b" (deleted)"));
    let (cwd, mut root) = (read("cwd")?, read("root")?);
    if root == b"/" {
        root.clear();
    }
    Some((cwd, root))
}

/// The executed file: the link shows its path, and its inode is there also when the path is not any more.
fn take_exe(image: &mut ProcessImage) {
    let path = format!("/proc/{}/exe", image.pid);
    let Some(target) = link(&path) else { return };
    let file = stat(&path);
    let unlinked = file.is_some_and(|f| f.links == 0);
    // The suffix is the kernel's only when the file has no name left; else it is part of the name.
    let name = target
        .strip_suffix(b" (deleted)")
        .filter(|_| unlinked)
        .unwrap_or(&target);
    if let Some(name) = name.strip_prefix(b"/memfd:").filter(|_| unlinked) {
        image.exe_path = [b"memfd:", name].concat();
        image.exe_flags |= exe_flag::MEMFD;
    } else {
        image.exe_path = name.to_vec();
        image.exe_flags |= if unlinked { exe_flag::DELETED } else { 0 };
    }
    if let Some(file) = file {
        (image.exe_ino, image.exe_ctime, image.exe_mtime) = (file.ino, file.ctime_ns, file.mtime_ns);
        let owner = file.uid == image.euid && file.mode & 0o200 != 0;
        let capable = image.cap_effective >> CAP_DAC_OVERRIDE & 1 == 1;
        if owner || file.mode & 0o002 != 0 || capable {
            image.exe_flags |= exe_flag::WRITABLE;
        }
    }
}

/// The path in the v2 hierarchy (`0::/…`). Where containers have cgroups of version 1 only, the path that shows the
/// container is more to the point.
fn cgroup(text: &[u8]) -> Vec<u8> {
    let path = |line: &'_ [u8]| line.splitn(3, |b| *b == b':').nth(2).map(<[u8]>::to_vec);
    let unified = lines(text)
        .find(|l| l.starts_with(b"0::"))
        .and_then(path)
        .unwrap_or_default();
    if container_of(&unified).is_some() {
        return unified;
    }
    let contained = lines(text).filter_map(path).find(|p| container_of(p).is_some());
    contained.unwrap_or(unified)
}

/// The cgroup path of a process; `None` when it is gone.
pub fn read_cgroup(pid: u32) -> Option<Vec<u8>> {
    Some(cgroup(&read(format!("/proc/{pid}/cgroup"), 1 << 20)?)).filter(|path| !path.is_empty())
}

/// The ids of all processes, in ascending order.
pub(crate) fn process_ids() -> Vec<u32> {
    numbers("/proc")
}

/// Parent and name of a process; `None` when it is gone.
pub(crate) fn read_parent_and_name(pid: u32) -> Option<(u32, Vec<u8>)> {
    let stat = read(format!("/proc/{pid}/stat"), 4096)?;
    Stat::parse(&stat).map(|stat| (stat.ppid, stat.comm))
}

/// Inode numbers of a process's namespaces; 0 where it is gone.
pub(crate) fn namespaces(pid: u32) -> Namespaces {
    let number = |name: &str| {
        let target = link(format!("/proc/{pid}/ns/{name}"))?;
        decimal(target.split(|b| *b == b'[').nth(1)?.strip_suffix(b"]")?)
    };
    let number = |name| number(name).unwrap_or(0);
    Namespaces {
        mnt: number("mnt"),
        pid: number("pid"),
        net: number("net"),
        user: number("user"),
    }
}

/// What is taken of `/proc/PID/stat` (proc(5)).
#[derive(Debug, Default, PartialEq, Eq)]
struct Stat {
    comm: Vec<u8>,
    ppid: u32,
    group: u32,
    session: u32,
    tty: u32,
    flags: u64,
    /// Boot clock.
    start_ns: u64,
}

impl Stat {
    /// `4711 (a (b) c) S 1 4711 4711 34816 …`: the name may hold anything, so the last parenthesis ends it.
    fn parse(text: &[u8]) -> Option<Stat> {
        let open = text.iter().position(|b| *b == b'(')?;
        let close = text.iter().rposition(|b| *b == b')')?;
        let fields: Vec<&[u8]> = words(text.get(close + 1..)?).collect();
        // Numbered as in the manual page, where the state is field 3.
        let field = |number: usize| fields.get(number - 3).copied();
        let id = |number| field(number).and_then(decimal::<u32>).unwrap_or(0);
        Some(Stat {
            comm: name(text.get(open + 1..close)?).to_vec(),
            ppid: id(4),
            group: id(5),
            session: id(6),
            tty: id(7),
            flags: field(9).and_then(decimal).unwrap_or(0),
            // The kernel gives clock ticks, of which user space always sees a hundred in a second.
            start_ns: field(22).and_then(decimal::<u64>)?.saturating_mul(10_000_000),
        })
    }
}

/// The name as records have it. /proc adds to a kernel worker's what it works at (`kworker/2:1-events`), but not to a
/// rescuer's (`kworker/R-writeback`).
fn name(shown: &[u8]) -> &[u8] {
    let worker = shown.starts_with(b"kworker/") && !shown.starts_with(b"kworker/R-");
    let work = shown.iter().position(|b| worker && (*b == b'-' || *b == b'+'));
    let end = work.unwrap_or(shown.len()).min(MAX_COMM);
    shown.get(..end).unwrap_or(shown)
}

/// What is taken of `/proc/PID/status` (proc(5)).
#[derive(Debug, Default, PartialEq, Eq)]
struct Status {
    /// Real, effective, saved.
    uids: [u32; 3],
    gids: [u32; 3],
    /// In the innermost pid namespace.
    vpid: Option<u32>,
    cap_inheritable: u64,
    cap_permitted: u64,
    cap_effective: u64,
}

impl Status {
    fn parse(text: &[u8]) -> Status {
        let mut status = Status::default();
        for line in lines(text) {
            let Some((name, value)) = line
                .iter()
                .position(|b| *b == b':')
                .and_then(|at| line.split_at_checked(at))
            else {
                continue;
            };
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            match name {
                b"Uid" => status.uids = three(value),
                b"Gid" => status.gids = three(value),
                b"NSpid" => status.vpid = words(value).last().and_then(decimal),
                b"CapInh" => status.cap_inheritable = mask(value),
                b"CapPrm" => status.cap_permitted = mask(value),
                b"CapEff" => status.cap_effective = mask(value),
                _ => {}
            }
        }
        status
    }
}

fn three(value: &[u8]) -> [u32; 3] {
    let mut ids = words(value).map(|w| decimal(w).unwrap_or(0));
    [0; 3].map(|none| ids.next().unwrap_or(none))
}

fn mask(value: &[u8]) -> u64 {
    std::str::from_utf8(value)
        .ok()
        .and_then(|v| u64::from_str_radix(v, 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_the_fields_after_it() {
        let text = b"4711 (a) S 1 (b) S 12 34 56 34816 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 250 0";
        let stat = Stat::parse(text).expect("well-formed");
        assert_eq!(stat.comm, b"a) S 1 (b");
        assert_eq!((stat.ppid, stat.group, stat.session, stat.tty), (12, 34, 56, 34816));
        assert_eq!((stat.flags, stat.start_ns), (4_194_304, 2_500_000_000));
        assert_eq!(Stat::parse(b"4711 (a"), None);
        assert_eq!(Stat::parse(b""), None);
    }

    #[test]
    fn names_are_as_in_records() {
        assert_eq!(name(b"kworker/2:1-events"), b"kworker/2:1");
        assert_eq!(name(b"kworker/u8:3+flush"), b"kworker/u8:3");
        assert_eq!(name(b"kworker/R-writeback"), b"kworker/R-write");
        assert_eq!(name(b"a-b+c"), b"a-b+c");
    }

    #[test]
    fn cgroups_of_both_versions() {
        let id = "0d17d63039a6b1e2493284ff1d9cc3947770823aa0fe3b272dc3c808b38bfd2e";
        let hybrid = format!("2:pids:/docker/{id}\n0::/system.slice\n");
        assert_eq!(cgroup(hybrid.as_bytes()), format!("/docker/{id}").into_bytes());
        assert_eq!(cgroup(b"2:pids:/x\n0::/a:b\n"), b"/a:b");
        assert_eq!(cgroup(b""), b"");
    }

    #[test]
    fn only_selected_variables_are_kept() {
        let env = EnvSelection::new([&b"HOME"[..]]);
        let all = b"PATH=/bin\0HOME=/root\0LD_PRELOAD=/x.so\0HOMER=no\0SECRET=1\0";
        assert_eq!(env.select(all), b"HOME=/root\0LD_PRELOAD=/x.so");
        assert_eq!(EnvSelection::default().select(b"A=1"), b"");
    }

    #[test]
    fn a_start_is_when_the_process_was_made() {
        // The kernel tells it in ticks.
        const TICK_NS: u64 = 20_000_000;
        let before = super::super::clock::utc_ns();
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().expect("runs");
        let after = super::super::clock::utc_ns();
        let it = read_process(child.id(), &Clock::new(), &EnvSelection::default());
        child.kill().expect("a child");
        child.wait().expect("a child");
        let start = it.expect("alive").image.start_ts;
        assert!(
            (before - TICK_NS..after + TICK_NS).contains(&start),
            "{before} {start} {after}"
        );
    }

    #[test]
    fn this_process() {
        let clock = Clock::new();
        let me = read_process(std::process::id(), &clock, &EnvSelection::default()).expect("alive");
        let exe = std::env::current_exe().expect("known");
        assert_eq!(me.image.exe_path, exe.as_os_str().as_encoded_bytes());
        let args: Vec<Vec<u8>> = std::env::args().map(String::into_bytes).collect();
        assert_eq!(me.image.argv, args.join(&0));
        assert!(me.threads.contains(&std::process::id()) && me.image.exe_ino != 0 && me.image.namespaces.mnt != 0);
        assert!(read_process(u32::MAX, &clock, &EnvSelection::default()).is_none());
    }
}
