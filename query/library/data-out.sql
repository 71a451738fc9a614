-- How much was sent, by program and address.
-- param min=0: at least so many bytes
SELECT proc_name, container_name, CASE WHEN is_server THEN client_ip ELSE server_ip END AS peer, server_port,
       sum(bytes_out) AS bytes_out, sum(bytes_in) AS bytes_in, min(first_ts) AS first_ts
FROM connections
GROUP BY 1, 2, 3, 4
HAVING sum(bytes_out) > $min
ORDER BY bytes_out DESC
