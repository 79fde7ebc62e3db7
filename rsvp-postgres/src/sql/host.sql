-- Whether this host accepts writes, and which log it writes or replays. A standby's timeline is the
-- one that it has certainly reached. Then this connection's process and its start, the clock, the
-- statement timeout in milliseconds, and settings that came with the connection.
SELECT current_setting('transaction_read_only')::bool,
       (SELECT system_identifier FROM pg_control_system()),
       CASE WHEN pg_is_in_recovery()
            THEN (SELECT greatest(c.timeline_id, r.min_recovery_end_timeline)::bigint
                  FROM pg_control_checkpoint() c, pg_control_recovery() r)
            ELSE ('x' || lpad(left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), 16, '0'))::bit(64)::bigint
       END,
       pg_backend_pid(),
       (SELECT (extract(epoch FROM backend_start) * 1000000)::bigint
        FROM pg_stat_activity WHERE pid = pg_backend_pid()),
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
       (SELECT setting::bigint FROM pg_settings WHERE name = 'statement_timeout'),
       (SELECT string_agg(name, ', ') FROM pg_settings
        WHERE source = 'client' AND name NOT IN
              ('application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'extra_float_digits'))
