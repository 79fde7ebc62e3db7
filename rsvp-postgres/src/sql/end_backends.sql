-- Tells processes to end. Told in the select list, which is made after the join, so that no other
-- process is told. A process is changing something if it has a transaction id and does not wait for
-- a lock: only then may it be in the middle of its commit, where it does not look at signals.
--
-- The start of a process is hidden from a role that the process's session does not belong to. Such a
-- process may be the one or a later one of the same number, and is not told.
SELECT given.pid, given.started, alive.changing,
       CASE WHEN alive.started = given.started THEN pg_terminate_backend(alive.pid) ELSE false END
FROM unnest($1::int[], $2::bigint[]) AS given (pid, started)
JOIN (
    SELECT pid, (extract(epoch FROM backend_start) * 1000000)::bigint AS started,
           backend_xid IS NOT NULL AND wait_event_type IS DISTINCT FROM 'Lock' AS changing
    FROM pg_stat_activity
) alive ON alive.pid = given.pid
       AND coalesce(alive.started = given.started, true)
