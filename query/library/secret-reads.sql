-- Opens of files that hold secrets.
-- param pattern='^/etc/(shadow|gshadow|sudoers)|/\.ssh/id_|/\.aws/credentials|/\.kube/config|/\.docker/config\.json|/\.git-credentials|/run/secrets/|/proc/[^/]+/environ$': regular expression of paths
SELECT ts, proc_name, proc_pid, proc_cmdline, user_name, container_name, fs_path_name AS path, evt_res
FROM events
WHERE evt_type IN ('open', 'openat', 'openat2') AND regexp_like(fs_path_name, $pattern)
ORDER BY ts
