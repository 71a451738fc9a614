-- Which images and programs connected to where.
-- param outside=0: 1 for addresses of the internet only
SELECT coalesce(container_image, 'host') AS image, proc_name, server_ip, server_port, protocol,
       count(DISTINCT process_key) AS processes, sum(calls) AS calls, sum(bytes_out) AS bytes_out, min(first_ts) AS first_ts
FROM connections
WHERE NOT is_server AND server_ip IS NOT NULL AND ($outside = 0 OR NOT is_private_ip(server_ip))
GROUP BY 1, 2, 3, 4, 5
ORDER BY calls DESC, image, proc_name, server_ip, server_port
