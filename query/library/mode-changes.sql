-- Files that were made executable, or got the setuid or setgid bit.
SELECT ts, evt_type, proc_name, proc_pid, proc_cmdline, container_name, coalesce(fs_path_name, fd_name) AS path, evt_args
FROM events
WHERE evt_type IN ('chmod', 'fchmod', 'fchmodat', 'fchmodat2') AND NOT evt_failed
  AND regexp_like(evt_args, 'S_IXUSR|S_IXGRP|S_IXOTH|S_ISUID|S_ISGID|mode=0?[0-7]*[1357]')
ORDER BY ts
