-- Arguments that are base64 of something readable.
-- param length=16: at least so many letters
SELECT ts, pid, name, word, b64_decode(word) AS decoded, container_name
FROM (SELECT coalesce(exec_ts, start_ts) AS ts, pid, name, container_name, unnest(string_to_array(cmdline, ' ')) AS word FROM processes)
WHERE length(word) >= $length AND regexp_like(word, '^[A-Za-z0-9+/_-]+=*$') AND regexp_like(b64_decode(word), '^[ -~\s]+$')
ORDER BY ts
