-- Whether this host is a standby, and whether it is a read-only primary. Then this connection's
-- process and its start, the clock in microseconds, the statement timeout in milliseconds, the
-- settings that the client's environment made, and the log.
SELECT pg_is_in_recovery(),
       current_setting('transaction_read_only')::bool,
       pg_backend_pid(),
       (SELECT (extract(epoch FROM backend_start) * 1000000)::bigint
        FROM pg_stat_activity WHERE pid = pg_backend_pid()),
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
       (SELECT setting::bigint FROM pg_settings WHERE name = 'statement_timeout'),
       (SELECT string_agg(name, ', ') FROM pg_settings
        WHERE source = 'client' AND name NOT IN
              ('application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'extra_float_digits')),
       {log}
