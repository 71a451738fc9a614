-- Programs that connect to the same address at even intervals.
-- param min=4: at least so many connections
-- param jitter=0.2: the intervals' deviation is at most this share of their mean
WITH times AS (
    SELECT proc_name, container_name, fd_sip, fd_sport, ts,
           CAST(ts AS BIGINT) - lag(CAST(ts AS BIGINT)) OVER (PARTITION BY proc_name, container_name, fd_sip, fd_sport ORDER BY ts) AS gap
    FROM events WHERE evt_type = 'connect' AND fd_sip IS NOT NULL)
SELECT proc_name, container_name, fd_sip AS address, fd_sport AS port, count(*) AS connections,
       avg(gap) / 1e9 AS mean_seconds, stddev(gap) / avg(gap) AS jitter, min(ts) AS first_ts
FROM times
GROUP BY 1, 2, 3, 4
HAVING count(*) >= $min AND avg(gap) > 0 AND stddev(gap) / avg(gap) <= $jitter
ORDER BY jitter
