//! Rows: the kernel itself, time, System V and POSIX queues, and calls that no longer exist.

super::declare! {
    321 bpf System Priority _: cmd BpfCmd 0, size Size32 2;
    175 init_module System Priority _: length Size 1, uargs Str 2;
    313 finit_module System Priority 0: fd Fd 0, uargs Str 1, flags ModuleInit 2;
    176 delete_module System Priority _: name Str 0, flags NewFd 1;
    246 kexec_load System Priority _: entry Uint 0, nr_segments Uint 1, flags KexecLoad 3;
    320 kexec_file_load System Priority _: kernel_fd Fd 0, initrd_fd Fd 1, cmdline Str 3, flags KexecFile 4;
    298 perf_event_open System Priority ret: pid Pid 1, cpu Int 2, group_fd Fd 3, flags PerfEvent 4;
    169 reboot System Priority _: magic RebootMagic 0, magic2 RebootMagic 1, cmd Reboot 2;
    103 syslog System Hot _: type Syslog 0, size Size32 2;
    163 acct System Hot _: path Path 0;
    170 sethostname System Priority _: len Size32 1;
    171 setdomainname System Priority _: len Size32 1;
    172 iopl System Priority _: level U32 0;
    173 ioperm System Priority _: from Uint 0, num Uint 1, turn_on Int 2;
    153 vhangup System Hot _;
    248 add_key System Priority _: type Str 0, description Str 1, size Size 3, keyring Keyring 4;
    249 request_key System Priority _: type Str 0, description Str 1, callout Str 2, keyring Keyring 3;
    250 keyctl System Priority _: operation Keyctl 0, arg2 Uint 1, arg3 Uint 2, arg4 Uint 3, arg5 Uint 4;
    318 getrandom System Bulk _: size Size 1, flags GetRandom 2;
    63 uname System Bulk _;
    99 sysinfo System Bulk _;
    134 uselib System Hot _: path Path 0;
    156 _sysctl System Hot _;
    335 uretprobe System Bulk _;
    336 uprobe System Bulk _;
    219 restart_syscall Other Bulk _;

    35 nanosleep Sleep Bulk _;
    230 clock_nanosleep Sleep Bulk _: clockid Clock 0, flags TimerFlags 1;
    36 getitimer Time Bulk _: which Itimer 0;
    37 alarm Time Bulk _: seconds U32 0;
    38 setitimer Time Bulk _: which Itimer 0;
    96 gettimeofday Time Bulk _;
    164 settimeofday Time Priority _;
    159 adjtimex Time Hot _;
    201 time Time Bulk _;
    222 timer_create Time Bulk _: clockid Clock 0;
    223 timer_settime Time Bulk _: timerid Int 0, flags TimerFlags 1;
    224 timer_gettime Time Bulk _: timerid Int 0;
    225 timer_getoverrun Time Bulk _: timerid Int 0;
    226 timer_delete Time Bulk _: timerid Int 0;
    227 clock_settime Time Priority _: clockid Clock 0;
    228 clock_gettime Time Bulk _: clockid Clock 0;
    229 clock_getres Time Bulk _: clockid Clock 0;
    305 clock_adjtime Time Hot _: clockid Clock 0;

    64 semget Process Hot _: key Int 0, nsems Int 1, semflg IpcFlags 2;
    65 semop Process Bulk _: semid Int 0, nsops U32 2;
    66 semctl Process Hot _: semid Int 0, semnum Int 1, cmd SemCmd 2;
    220 semtimedop Process Bulk _: semid Int 0, nsops U32 2;
    68 msgget Ipc Hot _: key Int 0, msgflg IpcFlags 1;
    69 msgsnd Ipc Bulk _: msqid Int 0, size Size 2, msgflg MessageQueue 3;
    70 msgrcv Ipc Bulk _: msqid Int 0, size Size 2, msgtyp Long 3, msgflg MessageQueue 4;
    71 msgctl Ipc Hot _: msqid Int 0, cmd MsgCmd 1;
    240 mq_open Ipc Hot ret: name Str 0, flags Open 1, mode Mode 2;
    241 mq_unlink Ipc Hot _: name Str 0;
    242 mq_timedsend Ipc Bulk 0: mqdes Fd 0, size Size 2, prio U32 3;
    243 mq_timedreceive Ipc Bulk 0: mqdes Fd 0, size Size 2;
    244 mq_notify Ipc Bulk 0: mqdes Fd 0;
    245 mq_getsetattr Ipc Bulk 0: mqdes Fd 0;

    174 create_module System Hot _: name Str 0, size Size 1;
    177 get_kernel_syms System Hot _;
    178 query_module System Hot _;
    180 nfsservctl System Hot _: cmd Int 0;
    181 getpmsg Other Bulk _;
    182 putpmsg Other Bulk _;
    183 afs_syscall Other Bulk _;
    184 tuxcall Other Bulk _;
    185 security Other Bulk _;
    236 vserver Other Bulk _;
}
