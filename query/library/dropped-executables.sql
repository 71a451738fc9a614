-- Programs in containers that were not in the image: their file is in the container's writable layer.
SELECT exec_ts, pid, name, exe_path, cmdline, container_name, container_image
FROM processes
WHERE exe_upper_layer AND container_id <> 'host'
ORDER BY exec_ts
