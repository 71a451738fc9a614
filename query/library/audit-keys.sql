-- Events of the audit subsystem by the key of the rule that matched.
SELECT coalesce(key, '') AS key, exe, success, count(*) AS events, min(ts) AS first_ts, max(ts) AS last_ts
FROM audit
GROUP BY 1, 2, 3
ORDER BY events DESC, key, exe
