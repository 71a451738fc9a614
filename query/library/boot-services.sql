-- Services that were started and stopped, as audit records say, and since when systemd has them active.
SELECT ts, type, split_part(split_part(record, 'unit=', 2), ' ', 1) AS unit,
       split_part(split_part(record, 'res=', 2), chr(39), 1) AS result
FROM audit_records WHERE type IN ('SERVICE_START', 'SERVICE_STOP')
UNION ALL
SELECT DISTINCT active_enter_ts, 'active', name, sub
FROM units WHERE active = 'active' AND active_enter_ts IS NOT NULL AND name LIKE '%.service'
ORDER BY 1, 3, 2
