//! What rules may name because Falco has it, and ctrace never records: fields, arguments and types of events.

use ctrace_trace::catalogue;
use ctrace_trace::schema::Schema;

use super::{FieldError, is_event_arg, resolve};
use crate::diagnostics::nearest;

/// Why Falco's field of that name and argument is never recorded; nothing for other names.
pub(crate) fn unsupported(name: &str, arg: Option<&str>) -> Option<&'static str> {
    if is_foreign_arg(name, arg) {
        return Some("no event type of ctrace has this argument");
    }
    if resolve(name, None).is_ok() {
        return None;
    }
    let prefixes = name.rmatch_indices('.').filter_map(|(dot, _)| name.get(..dot));
    std::iter::once(name)
        .chain(prefixes)
        .find_map(catalogue::find_unsupported)
}

/// Arguments that events of Falco have and those of ctrace have not; rules may name them.
const FOREIGN_ARGS: [&str; 74] = [
    "ID",
    "container_id",
    "cpu_sys",
    "cpu_usr",
    "cq_entries",
    "creat_flags",
    "cur",
    "desc",
    "dpid",
    "dqb_bhardlimit",
    "dqb_bsoftlimit",
    "dqb_btime",
    "dqb_curspace",
    "dqb_ihardlimit",
    "dqb_isoftlimit",
    "dqb_itime",
    "dqi_bgrace",
    "dqi_flags",
    "dqi_igrace",
    "error",
    "event_data",
    "event_type",
    "exe_ino_ctime",
    "exe_ino_mtime",
    "fdlimit",
    "fds",
    "features",
    "home",
    "img",
    "interval",
    "ip",
    "json",
    "max",
    "msgcontrol",
    "nativeID",
    "newcur",
    "newmax",
    "next",
    "offin",
    "offout",
    "oldcur",
    "oldmax",
    "peer",
    "pgft_maj",
    "pgft_min",
    "pidns_init_start_ts",
    "plugin_id",
    "queuelen",
    "queuemax",
    "queuepct",
    "quota_fmt",
    "quota_fmt_out",
    "quotafilepath",
    "ratio",
    "reaper_tid",
    "scope",
    "sem_flg_0",
    "sem_flg_1",
    "sem_num_0",
    "sem_num_1",
    "sem_op_0",
    "sem_op_1",
    "shell",
    "sigmask",
    "spid",
    "sq_entries",
    "sq_thread_cpu",
    "sq_thread_idle",
    "value_bytebuf",
    "value_charbuf",
    "vm_rss",
    "vm_size",
    "vm_swap",
    "vtid",
];

/// Whether it names one of [`FOREIGN_ARGS`]: `evt.arg.reaper_tid`, `evt.rawarg[vtid]`.
fn is_foreign_arg(name: &str, arg: Option<&str>) -> bool {
    let key = match arg {
        Some(key) if is_event_arg(name) => Some(key),
        None => name
            .strip_prefix("evt.arg.")
            .or_else(|| name.strip_prefix("evt.rawarg.")),
        Some(_) => None,
    };
    key.is_some_and(|key| FOREIGN_ARGS.contains(&key))
}

/// Event types that Falco knows and no source of ctrace makes, system calls of other machines among them; rules may name
/// them.
const FOREIGN_EVENTS: [&str; 62] = [
    "drop",
    "scapevent",
    "procinfo",
    "cpu_hotplug",
    "notification",
    "infra",
    "container",
    "switch",
    "signaldeliver",
    "page_fault",
    "asyncevent",
    "pluginevent",
    "tracer",
    "mesos",
    "useradded",
    "_llseek",
    "fcntl64",
    "getegid32",
    "geteuid32",
    "getgid32",
    "getresgid32",
    "getresuid32",
    "getuid32",
    "groupadded",
    "groupdeleted",
    "multiplexer",
    "page_fault_kernel",
    "page_fault_user",
    "pciconfig_iobase",
    "pciconfig_read",
    "pciconfig_write",
    "pread64",
    "prlimit64",
    "pwrite64",
    "recv",
    "riscv_flush_icache",
    "riscv_hwprobe",
    "rtas",
    "s390_guarded_storage",
    "s390_pci_mmio_read",
    "s390_pci_mmio_write",
    "s390_runtime_instr",
    "s390_sthyi",
    "sched_process_exit",
    "sched_switch",
    "send",
    "sendfile64",
    "setgid32",
    "setresgid32",
    "setresuid32",
    "setuid32",
    "signal_deliver",
    "spu_create",
    "spu_run",
    "subpage_prot",
    "swapcontext",
    "switch_endian",
    "sync_file_range2",
    "sys_debug_setcontext",
    "timerfd",
    "ugetrlimit",
    "userdeleted",
];

/// Refuses names that are no event type, as Falco does.
pub(crate) fn check_event_type(name: &str) -> Result<(), FieldError> {
    let schema = Schema::current();
    if schema.by_name(name).next().is_some() || FOREIGN_EVENTS.contains(&name) {
        return Ok(());
    }
    let names = schema.specs().iter().map(|s| s.name.as_str()).chain(FOREIGN_EVENTS);
    Err(FieldError {
        message: format!("unknown event type '{name}'"),
        suggestion: nearest(name, names),
    })
}
