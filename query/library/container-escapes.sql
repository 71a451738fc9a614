-- Calls from within containers that reach for the host: mounts, namespaces, modules, tracing, the engine's socket.
-- Left out is what the runtime does to set a container up: calls of a process that has the runtime's program and executed
-- nothing itself, before the first other program was executed in the container, and before the engine says that the
-- container was started. A container may choose its names and paths, those two times it may not.
-- Taken for granted: the runtime is runc, crun, youki or runsc; the recording has the container from its beginning, with
-- the engine's word on its start and no loss there. Where the start is not known, or the container is started again, the
-- calls are shown. In a container that shares the host's pid namespace a first program that lies at such a path passes for
-- the runtime until it, or what it starts, executes another one.
WITH calls AS (
  SELECT ts, evt_type, proc_name, proc_pid, proc_vpid, proc_exec_ts, proc_cmdline, container_id, container_name,
         container_start_ts, fd_name, evt_args, evt_res, fs_path_name,
         coalesce(regexp_like(proc_exepath, '^/?memfd:(runc|crun)_cloned:|(^|/)(runc|crun|youki|runsc)$'), false) AS is_runtime
  FROM events
  WHERE container_id <> 'host'
), begun AS (
  SELECT container_id, min(ts) AS first_ts
  FROM calls
  WHERE evt_type IN ('execve', 'execveat') AND evt_res = 'SUCCESS' AND (proc_vpid = 1 OR NOT is_runtime)
  GROUP BY container_id
)
SELECT c.ts, c.evt_type, c.proc_name, c.proc_pid, c.proc_cmdline, c.container_name, c.fd_name, c.evt_args, c.evt_res
FROM calls c LEFT JOIN begun b ON c.container_id = b.container_id
WHERE (c.evt_type IN ('mount', 'umount2', 'pivot_root', 'unshare', 'setns', 'init_module', 'finit_module', 'delete_module',
                      'ptrace', 'process_vm_writev', 'bpf', 'kexec_load', 'open_by_handle_at', 'move_mount', 'fsopen')
       OR c.fs_path_name LIKE '/proc/1/root%' OR c.fs_path_name LIKE '/proc/sys/kernel/core_pattern'
       OR c.fs_path_name LIKE '%/release_agent' OR c.fd_name LIKE '%docker.sock' OR c.fd_name LIKE '%containerd.sock')
  AND NOT (c.is_runtime AND c.proc_exec_ts IS NULL
           AND coalesce(c.ts < b.first_ts, false) AND coalesce(c.ts < c.container_start_ts, false))
ORDER BY c.ts
