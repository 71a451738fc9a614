-- Processes that tried many ports or many addresses.
-- param min=20: at least so many different targets
SELECT proc_name, pid, container_name, count(DISTINCT server_ip) AS addresses, count(DISTINCT server_port) AS ports,
       sum(failed) AS failed, min(first_ts) AS first_ts, max(last_ts) AS last_ts
FROM connections
WHERE NOT is_server
GROUP BY 1, 2, 3
HAVING count(DISTINCT server_ip) >= $min OR count(DISTINCT server_port) >= $min
ORDER BY first_ts
