-- Command lines that are long: where scripts and encoded commands hide.
-- param length=200: at least so many letters
SELECT coalesce(exec_ts, start_ts) AS ts, pid, name, length(cmdline) AS letters, cmdline, container_name
FROM processes
WHERE length(cmdline) >= $length
ORDER BY letters DESC
