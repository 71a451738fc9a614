-- Processes that removed many files.
-- param min=20: at least so many
SELECT proc_name, proc_pid, proc_cmdline, container_name, count(*) AS removed, min(ts) AS first_ts, max(ts) AS last_ts
FROM events
WHERE evt_type IN ('unlink', 'unlinkat', 'rmdir') AND NOT evt_failed
GROUP BY 1, 2, 3, 4
HAVING count(*) >= $min
ORDER BY removed DESC
