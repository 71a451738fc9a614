-- Calls from within containers that reach for the host: mounts, namespaces, modules, tracing, the engine's socket.
SELECT ts, evt_type, proc_name, proc_pid, proc_cmdline, container_name, fd_name, evt_args, evt_res
FROM events
WHERE container_id <> 'host'
  AND (evt_type IN ('mount', 'umount2', 'pivot_root', 'unshare', 'setns', 'init_module', 'finit_module', 'delete_module',
                    'ptrace', 'process_vm_writev', 'bpf', 'kexec_load', 'open_by_handle_at', 'move_mount', 'fsopen')
       OR fs_path_name LIKE '/proc/1/root%' OR fs_path_name LIKE '/proc/sys/kernel/core_pattern'
       OR fs_path_name LIKE '%/release_agent' OR fd_name LIKE '%docker.sock' OR fd_name LIKE '%containerd.sock')
ORDER BY ts
