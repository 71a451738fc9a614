-- Processes whose executable was removed while they ran.
SELECT p.pid, p.name, p.exe_path, p.container_name, min(e.ts) AS removed_ts, p.end_ts
FROM processes p
JOIN events e ON e.fs_path_name = p.exe_path AND e.container_id = p.container_id
             AND e.ts >= coalesce(p.exec_ts, p.start_ts, e.ts) AND (p.end_ts IS NULL OR e.ts < p.end_ts)
WHERE e.evt_type IN ('unlink', 'unlinkat') AND NOT e.evt_failed
GROUP BY p.pid, p.name, p.exe_path, p.container_name, p.end_ts
ORDER BY removed_ts
