-- Shells that ran in containers, with what started them.
SELECT coalesce(c.exec_ts, c.start_ts) AS ts, c.container_name, c.container_image, c.pid, c.cmdline, c.tty <> 0 AS interactive,
       array_to_string(ancestors(c.process_key), ' < ') AS ancestors
FROM processes c
WHERE c.container_id <> 'host' AND c.name IN ('sh', 'bash', 'dash', 'ash', 'zsh', 'ksh')
ORDER BY ts
