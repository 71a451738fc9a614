-- What the recording lost: before an absence of events is taken for evidence.
SELECT source, class, sum(count) AS lost, count(*) AS gaps, min(from_ts) AS from_ts, max(to_ts) AS to_ts
FROM gaps
GROUP BY source, class
ORDER BY lost DESC
