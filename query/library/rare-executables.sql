-- Executables that few processes ran: what is rare on a host is worth a look.
-- param max=3: run by at most so many processes
SELECT exe_path, count(*) AS processes, min(coalesce(exec_ts, start_ts)) AS first_ts,
       min(cmdline) AS command, min(container_name) AS container
FROM processes
WHERE exe_path IS NOT NULL
GROUP BY exe_path HAVING count(*) <= $max
ORDER BY processes, first_ts
