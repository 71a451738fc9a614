-- Programs that have no file: run from memory, or from a file that had been removed before.
SELECT exec_ts, pid, name, exe_path, cmdline, exe_memfd, exe_deleted, container_name
FROM processes
WHERE exe_memfd OR exe_deleted
ORDER BY exec_ts
