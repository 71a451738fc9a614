-- Shells whose standard input or output is an internet socket, and shells that talk to one themselves.
SELECT min(ts) AS first_ts, proc_name, proc_pid, proc_cmdline, proc_pname, fd_num, fd_name, container_name, count(*) AS calls
FROM events
WHERE proc_name IN ('sh', 'bash', 'dash', 'ash', 'zsh', 'ksh', 'busybox') AND fd_typechar IN ('4', '6')
GROUP BY proc_name, proc_pid, proc_cmdline, proc_pname, fd_num, fd_name, container_name
ORDER BY first_ts
