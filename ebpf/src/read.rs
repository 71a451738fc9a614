//! Safe reads of kernel and user memory, by host offsets.

use aya_ebpf::{cty::c_void, helpers::generated as helper};
use ctrace_wire::{offsets::MISSING, types::CAST_PLACE};

/// The offset of a kernel structure's member on this host.
macro_rules! offset {
    ($name:ident) => {
        $crate::maps::load(&$crate::maps::OFFSETS.$name)
    };
}
pub(crate) use offset;

/// The id of a kernel structure's type on this host.
macro_rules! type_id {
    ($name:ident) => {
        $crate::maps::load(&$crate::maps::TYPES.$name)
    };
}

/// Reads the member of the structure at `$base`: `absent` when there is no structure or no such member.
macro_rules! member {
    ($base:expr, $name:ident, $absent:expr) => {
        $crate::read::at($base, $crate::read::offset!($name), $absent)
    };
}
pub(crate) use member;

/// Follows a pointer member; 0 when it cannot be had.
macro_rules! pointer {
    ($base:expr, $name:ident) => {
        $crate::read::or_zeros::<usize>($base, $crate::read::offset!($name))
    };
}
pub(crate) use pointer;

/// Reads from the structure at `base`; zeros where there is none or no such member. What lies near address 0 cannot be
/// read, so that asking for it apart would only be another way for the verifier to follow.
#[inline(always)]
pub fn or_zeros<T: Copy>(base: usize, offset: u32) -> T {
    if offset == MISSING {
        // SAFETY: as in `kernel`.
        return unsafe { core::mem::zeroed() };
    }
    kernel(base + offset as usize)
}

#[inline(always)]
pub fn at<T: Copy>(base: usize, offset: u32, absent: T) -> T {
    if offset == MISSING || base == 0 {
        return absent;
    }
    kernel(base + offset as usize)
}

/// A structure of which several members are asked for. Where words are not [loaded](loads_words) its beginning was read at once,
/// which costs as much as a member.
#[derive(Clone, Copy)]
pub struct Beginning<const SIZE: usize> {
    address: usize,
    bytes: *const u8,
}

impl<const SIZE: usize> Beginning<SIZE> {
    /// Reads one to map memory that has room for `SIZE` bytes, aligned to eight; zeros where it cannot be read.
    #[inline(always)]
    pub unsafe fn read(address: usize, to: *mut u8) -> Self {
        if !loads_words() {
            // SAFETY: the caller gives the room.
            unsafe { helper::bpf_probe_read_kernel(to.cast(), SIZE as u32, address as *const c_void) };
        }
        Self { address, bytes: to }
    }

    /// The structure's address.
    #[inline(always)]
    pub fn address(self) -> usize {
        self.address
    }

    /// Reads a member: `absent` when there is no structure or no such member.
    #[inline(always)]
    pub fn member<T: Copy>(self, offset: u32, absent: T) -> T {
        if self.address == 0 {
            return absent;
        }
        if loads_words() {
            return at(self.address, offset, absent);
        }
        self.inside(offset).unwrap_or_else(|| at(self.address, offset, absent))
    }

    /// Follows a pointer member; 0 when it cannot be had.
    #[inline(always)]
    pub fn pointer(self, member: PointerAt<SIZE>) -> usize {
        if loads_words() || member.inside > SIZE - size_of::<usize>() {
            return or_zeros(self.address, member.offset);
        }
        // SAFETY: within what was read.
        unsafe { self.bytes.add(member.inside).cast::<usize>().read() }
    }

    #[inline(always)]
    fn inside<T: Copy>(self, offset: u32) -> Option<T> {
        if offset as usize > SIZE - size_of::<T>() {
            return None;
        }
        // SAFETY: within what was read; members are aligned in a structure that is.
        Some(unsafe { self.bytes.add(offset as usize).cast::<T>().read() })
    }
}

/// Where a pointer is in structures whose beginnings are read in a loop.
#[derive(Clone, Copy)]
pub struct PointerAt<const SIZE: usize> {
    offset: u32,
    inside: usize,
}

impl<const SIZE: usize> PointerAt<SIZE> {
    #[inline(always)]
    pub fn new(offset: u32) -> Self {
        // The compiler adds it to the address before the loop, whether it is inside or not; the verifier allows no address
        // far outside. Without the box it would add the offset itself.
        let inside = core::hint::black_box((offset as usize).min(SIZE));
        Self { offset, inside }
    }
}

/// Address of an embedded structure; 0 when it cannot be had.
#[inline(always)]
pub fn embedded(base: usize, offset: u32) -> usize {
    if offset == MISSING || base == 0 {
        0
    } else {
        base + offset as usize
    }
}

/// Whether what is at an address of the kernel is loaded: for that the verifier is told that there is a structure of numbers,
/// and the load gives zeros where nothing is. It costs a tenth of what the helper does that reads what may not be there.
#[inline(always)]
fn loads_words() -> bool {
    type_id!(word) != 0
}

/// Tells the verifier so. The kernel has no code for it.
#[inline(always)]
fn cast(address: usize) -> usize {
    // SAFETY: user space puts a call of the kernel's function in the place of this one.
    unsafe {
        let cast: unsafe extern "C" fn(usize, u64) -> usize = core::mem::transmute(CAST_PLACE as usize);
        cast(address, u64::from(type_id!(word)))
    }
}

/// Reads kernel memory; zeros when it cannot be read.
#[inline(always)]
pub fn kernel<T: Copy>(address: usize) -> T {
    if loads_words() && size_of::<T>() <= size_of::<u64>() {
        // SAFETY: within the structure's first number; T is only used with integers and arrays.
        return unsafe { (cast(address) as *const T).read_volatile() };
    }
    let mut value = core::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: the helper writes size_of::<T>() bytes, zeros on a fault; T is only used with integers and arrays.
    unsafe {
        helper::bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const c_void,
        );
        value.assume_init()
    }
}

/// Reads user memory of the current task.
#[inline(always)]
pub fn user<T: Copy>(address: u64) -> Option<T> {
    let mut value = core::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: as above.
    unsafe {
        let ret = helper::bpf_probe_read_user(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const c_void,
        );
        if ret == 0 { Some(value.assume_init()) } else { None }
    }
}

/// How long a string of the current task's user memory is with its NUL, at most `N`; negative where it cannot be read. The
/// kernel looks at so few bytes one by one, which takes less than to have it copy one.
#[inline(always)]
pub fn user_string<const N: usize>(address: u64) -> i64 {
    let mut string = core::mem::MaybeUninit::<[u8; N]>::uninit();
    // SAFETY: room for so many.
    unsafe { helper::bpf_probe_read_user_str(string.as_mut_ptr().cast(), N as u32, address as *const c_void) }
}

/// Reads `len` bytes of user memory of the current task, in such a way bounded that the verifier sees that they fit; false
/// where they cannot be read.
#[inline(always)]
pub fn user_into<T: Copy>(to: &mut T, len: u32, address: u64) -> bool {
    // SAFETY: the caller bounds the length, else the verifier refuses it; T is only used with arrays of integers.
    unsafe { helper::bpf_probe_read_user((&raw mut *to).cast(), len, address as *const c_void) == 0 }
}

/// 1 or 0, without a branch: the verifier would follow both ways of it.
#[inline(always)]
pub fn is_zero(word: u64) -> u64 {
    let either = core::hint::black_box((word >> 32 | word) & 0xffff_ffff);
    either.wrapping_sub(1) >> 63
}

pub fn current_task() -> usize {
    // SAFETY: no preconditions.
    unsafe { helper::bpf_get_current_task() as usize }
}

/// The current task, and structures that it leads to, of types that the verifier knows: members are loaded, which costs a
/// tenth of a helper that reads what may not be there. Where the kernel is older, they are read by that helper.
#[derive(Clone, Copy)]
pub struct Typed(usize);

impl Typed {
    #[inline(always)]
    fn is_known() -> bool {
        // The verifier knows the value, and follows one way only.
        type_id!(task) != 0
    }

    #[inline(always)]
    pub fn current_task() -> Typed {
        if Typed::is_known() {
            // SAFETY: no preconditions.
            Typed(unsafe { helper::bpf_get_current_task_btf() as usize })
        } else {
            Typed(current_task())
        }
    }

    /// Loads a member: zeros where there is no structure or no such member.
    #[inline(always)]
    pub fn load<T: Copy>(self, offset: u32) -> T {
        if !Typed::is_known() {
            or_zeros(self.0, offset)
        } else if self.0 == 0 || offset == MISSING {
            // SAFETY: T is only used with integers.
            unsafe { core::mem::zeroed() }
        } else {
            // SAFETY: the verifier refuses what is no member of this size; of structures that are gone, loads give zeros.
            unsafe { (self.0 as *const u8).add(offset as usize).cast::<T>().read_volatile() }
        }
    }

    /// Follows a pointer member to a structure.
    #[inline(always)]
    pub fn follow(self, offset: u32) -> Typed {
        Typed(self.load(offset))
    }
}

pub fn cpu() -> u32 {
    // SAFETY: no preconditions.
    unsafe { helper::bpf_get_smp_processor_id() as u32 }
}

/// The current task, with its process and thread id in the initial namespace.
#[derive(Clone, Copy)]
pub struct Current {
    pub task: Typed,
    pub tgid: u32,
    pub tid: u32,
}

impl Current {
    #[inline(always)]
    pub fn get() -> Self {
        Self::of(Typed::current_task())
    }

    /// The same of the current task, where that is at hand.
    #[inline(always)]
    pub fn of(task: Typed) -> Self {
        let (tgid, tid) = (offset!(task_tgid), offset!(task_pid));
        if Typed::is_known() && tgid != MISSING && tid != MISSING {
            return Self {
                task,
                tgid: task.load(tgid),
                tid: task.load(tid),
            };
        }
        // SAFETY: no preconditions.
        let both = unsafe { helper::bpf_get_current_pid_tgid() };
        Self {
            task,
            tgid: (both >> 32) as u32,
            tid: both as u32,
        }
    }

    /// Id of its cgroup in the v2 hierarchy.
    #[inline(always)]
    fn cgroup(self) -> u64 {
        let (cgroups, cgroup) = (offset!(task_cgroups), offset!(css_set_dfl_cgrp));
        let (node, id) = (offset!(cgroup_kn), offset!(kernfs_node_id));
        let is_known = cgroups != MISSING && cgroup != MISSING && node != MISSING && id != MISSING;
        if Typed::is_known() && is_known {
            return self.task.follow(cgroups).follow(cgroup).follow(node).load(id);
        }
        // SAFETY: no preconditions.
        unsafe { helper::bpf_get_current_cgroup_id() }
    }
}

/// The common part of a record about the current task; `len` is for the caller to set.
#[inline(always)]
pub fn header(kind: u8, flags: u8, current: Current, cpu: u32) -> ctrace_wire::record::Header {
    // SAFETY: no preconditions.
    let ts = unsafe { helper::bpf_ktime_get_boot_ns() };
    ctrace_wire::record::Header {
        len: 0,
        kind,
        flags,
        cpu: cpu as u16,
        ts,
        tgid: current.tgid,
        tid: current.tid,
        cgroup: current.cgroup(),
    }
}

/// A task's id inside its own pid namespace and that namespace's inode number.
#[inline(always)]
pub fn own_pid(pid: usize) -> (u32, u32) {
    let level: u32 = member!(pid, pid_level, 0);
    // The kernel allows 32 levels.
    let upid = embedded(pid, offset!(pid_numbers)) + (level & 31) as usize * upid_size();
    (
        member!(upid, upid_nr, u32::MAX),
        member!(pointer!(upid, upid_ns), pid_ns_inum, u32::MAX),
    )
}

/// A pid structure's number in the initial namespace.
#[inline(always)]
pub fn initial_pid(pid: usize) -> u32 {
    member!(embedded(pid, offset!(pid_numbers)), upid_nr, u32::MAX)
}

fn upid_size() -> usize {
    let size = offset!(upid_size);
    if size == MISSING { 0 } else { size as usize }
}
