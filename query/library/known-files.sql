-- Executed files and loaded modules and programs whose SHA-256 is in a list.
-- param sha256='': Digests in lower-case hexadecimal, between commas or spaces; empty for all
SELECT a.sha256, a.kind, a.path, a.copy, a.container_name, min(a.ts) AS first_ts, count(DISTINCT p.process_key) AS processes,
       min(p.cmdline) AS example
FROM artifacts a
LEFT JOIN processes p ON p.exe_sha256 = a.sha256
WHERE $sha256 = '' OR (a.sha256 IS NOT NULL AND strpos($sha256, a.sha256) > 0)
GROUP BY a.sha256, a.kind, a.path, a.copy, a.container_name
ORDER BY first_ts, a.path
