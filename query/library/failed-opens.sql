-- Paths that could not be opened, by how often: probing, missing files, denied access.
-- param res='%': name of the error, as a pattern
SELECT split_part(split_part(evt_args, ' name=', 2), ' ', 1) AS path, evt_res, count(*) AS calls,
       count(DISTINCT proc_pid) AS processes, min(proc_name) AS example
FROM events
WHERE evt_type IN ('open', 'openat', 'openat2') AND evt_rawres < 0 AND evt_res LIKE $res
GROUP BY 1, 2
ORDER BY calls DESC, path
LIMIT 100
