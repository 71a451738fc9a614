-- Kernel modules and programs that were loaded or removed.
SELECT ts, evt_type, proc_name, proc_pid, proc_cmdline, user_name, container_name, evt_args, evt_res
FROM events
WHERE evt_type IN ('init_module', 'finit_module', 'delete_module', 'bpf', 'kexec_load', 'kexec_file_load')
ORDER BY ts
