-- Which programs made the most events.
-- param limit=20: so many
SELECT proc_name, container_name, count(*) AS events, count(DISTINCT process_key) AS processes,
       count(*) FILTER (WHERE evt_failed) AS failed, min(ts) AS first_ts, max(ts) AS last_ts
FROM events
GROUP BY 1, 2
ORDER BY events DESC, proc_name
LIMIT $limit
