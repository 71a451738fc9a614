-- Calls that changed whom a process acts as or what it may do.
SELECT ts, evt_type, proc_name, proc_pid, proc_cmdline, user_name, container_name, evt_args, evt_res
FROM events
WHERE evt_type IN ('setuid', 'setgid', 'setreuid', 'setregid', 'setresuid', 'setresgid', 'setfsuid', 'setgroups', 'capset')
ORDER BY ts
