-- Each executable with the time and the process of its first run within the recording, the latest first.
SELECT exe_path, min(exec_ts) AS first_ts, first_value(cmdline ORDER BY exec_ts) AS command,
       first_value(container_name ORDER BY exec_ts) AS container, count(*) AS processes
FROM processes
WHERE exe_path IS NOT NULL AND exec_ts >= (SELECT min(ts) FROM events)
GROUP BY exe_path
ORDER BY first_ts DESC
