-- What was accepted or bound: programs that serve a port.
SELECT proc_name, container_name, server_ip, server_port, protocol, count(DISTINCT client_ip) AS clients,
       sum(calls) AS calls, min(first_ts) AS first_ts
FROM connections
WHERE is_server OR client_ip IS NULL
GROUP BY 1, 2, 3, 4, 5
ORDER BY calls DESC, proc_name, server_port
