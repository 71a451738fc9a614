-- A process and all that descends from it.
-- param pid=1: process id on the host
WITH RECURSIVE tree AS (
    SELECT process_key, pid, cmdline, start_ts, 0 AS depth, CAST(pid AS VARCHAR) AS path FROM processes WHERE pid = $pid
    UNION ALL
    SELECT p.process_key, p.pid, p.cmdline, p.start_ts, t.depth + 1, t.path || '/' || CAST(p.pid AS VARCHAR)
    FROM tree t JOIN processes p ON p.parent_key = t.process_key WHERE t.depth < 100)
SELECT depth, repeat('  ', depth) || cmdline AS process, pid, start_ts FROM tree ORDER BY path, start_ts
