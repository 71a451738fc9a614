-- Processes that act as another user than their parent does: setuid programs, sudo, su.
SELECT coalesce(c.exec_ts, c.start_ts) AS ts, c.pid, c.name, c.exe_path, p.name AS parent, p.euid AS parent_euid, c.euid, c.user_name, c.container_name
FROM processes c
JOIN processes p ON p.process_key = c.parent_key
WHERE c.euid <> p.euid
ORDER BY ts
