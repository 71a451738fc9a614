-- Failed logins and authentications, as the audit subsystem tells them.
SELECT ts, type,
       split_part(split_part(record, 'acct="', 2), '"', 1) AS account,
       split_part(split_part(record, 'addr=', 2), ' ', 1) AS address,
       split_part(split_part(record, 'exe="', 2), '"', 1) AS exe, record
FROM audit_records
WHERE type IN ('USER_LOGIN', 'USER_AUTH', 'USER_ERR', 'LOGIN', 'ANOM_LOGIN_FAILURES') AND record LIKE '%res=failed%'
ORDER BY ts
