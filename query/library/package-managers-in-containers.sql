-- Package managers and downloaders that ran in containers: images should not change while they run.
SELECT coalesce(exec_ts, start_ts) AS ts, container_name, container_image, pid, name, cmdline
FROM processes
WHERE container_id <> 'host'
  AND name IN ('apt', 'apt-get', 'dpkg', 'yum', 'dnf', 'rpm', 'apk', 'pip', 'pip3', 'npm', 'gem', 'curl', 'wget', 'nc', 'ncat', 'socat')
ORDER BY ts
