-- Programs run from folders that everybody may write.
SELECT exec_ts, pid, name, exe_path, cmdline, user_name, container_name
FROM processes
WHERE path_in(exe_path, '/tmp') OR path_in(exe_path, '/var/tmp') OR path_in(exe_path, '/dev/shm')
   OR path_in(exe_path, '/run/user')
ORDER BY exec_ts
