SELECT pg_cancel_backend(pid) FROM pg_stat_activity
WHERE pid = {pid} AND (extract(epoch FROM backend_start) * 1000000)::bigint = {started}
  AND application_name LIKE '%' || {suffix}
  AND (extract(epoch FROM query_start) * 1000000)::bigint <= {begun_by}
