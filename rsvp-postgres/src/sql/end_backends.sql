-- Tells processes to end. Told in the select list, which is made after the join, so that no other
-- process is told. A process is changing something if it has a transaction id and does not wait for
-- a lock: only then may it be in the middle of its commit, where it does not look at signals.
--
-- The start of a process is hidden from a role that the process's session does not belong to. Such a
-- process may be the one or a later one of the same number, and is not told. The process of a pooler
-- shows the transaction at the end of its name: if it shows another, the transaction is over. So it is
-- if the process has begun a later statement.
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
