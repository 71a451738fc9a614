-- Logs and histories that were removed, emptied or renamed.
-- param folder='/var/log': folder of logs
SELECT ts, evt_type, proc_name, proc_pid, proc_cmdline, user_name, container_name, evt_args, evt_res
FROM events
WHERE evt_type IN ('unlink', 'unlinkat', 'truncate', 'ftruncate', 'rename', 'renameat', 'renameat2', 'open', 'openat', 'creat')
  AND (path_in(coalesce(fs_path_name, fs_path_source, fd_name), $folder)
       OR regexp_like(coalesce(fs_path_name, fs_path_source, fd_name), '/\.(ba|z|a)?sh_history$'))
  AND (evt_type NOT IN ('open', 'openat') OR evt_args LIKE '%O_TRUNC%')
ORDER BY ts
