-- Files opened for writing from which programs are started later: cron, units, shells' start files, keys, preloads.
SELECT ts, evt_type, proc_name, proc_pid, proc_cmdline, user_name, container_name, fs_path_name AS path, evt_res
FROM events
WHERE evt_type IN ('open', 'openat', 'openat2', 'creat')
  AND (evt_args LIKE '%O_WRONLY%' OR evt_args LIKE '%O_RDWR%' OR evt_type = 'creat')
  AND regexp_like(fs_path_name, '^/etc/(cron|systemd/|init\.d/|rc\.local|profile|ld\.so\.preload|pam\.d/|sudoers|passwd|shadow)|^/var/spool/cron|/\.ssh/authorized_keys|/\.(bashrc|profile|bash_profile|zshrc)$|/systemd/(system|user)/')
ORDER BY ts
