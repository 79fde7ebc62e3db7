SELECT pg_backend_pid(),
       (SELECT (extract(epoch FROM backend_start) * 1000000)::bigint
        FROM pg_stat_get_activity(pg_backend_pid())),
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
