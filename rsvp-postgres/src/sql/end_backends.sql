-- Tells processes to end. The select list does so, because it runs after the join, so that no other
-- process is told.
--
-- A process is changing something if it has a transaction id and does not wait for a lock. Only
-- then may it be in the middle of its commit, and a commit does not look at signals.
--
-- The server hides the start of a process from roles without the rights of its session's role. Such
-- a process may be the right one or a later one with the same id, and is not told.
--
-- The process of a pooler shows the transaction at the end of its name. If it shows another one, or
-- has begun a later statement, the transaction is over.
SELECT given.number, alive.changing,
       CASE WHEN alive.started = given.started THEN pg_terminate_backend(alive.pid) ELSE false END
FROM unnest(ARRAY[{pids}]::int[], ARRAY[{starts}]::bigint[], ARRAY[{suffixes}]::text[],
            ARRAY[{begun_by}]::bigint[])
     WITH ORDINALITY AS given (pid, started, suffix, begun_by, number)
JOIN (
    SELECT pid, application_name, (extract(epoch FROM backend_start) * 1000000)::bigint AS started,
           (extract(epoch FROM query_start) * 1000000)::bigint AS begun,
           backend_xid IS NOT NULL AND wait_event_type IS DISTINCT FROM 'Lock' AS changing
    FROM pg_stat_activity
) alive ON alive.pid = given.pid
       AND coalesce(alive.started = given.started, true)
       AND alive.application_name LIKE '%' || given.suffix
       AND coalesce(alive.begun <= given.begun_by, true)
