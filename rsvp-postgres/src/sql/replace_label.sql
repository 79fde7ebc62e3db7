-- Replaces the label $1 by $3 if it holds $2, and answers the value before. A locked row is read as
-- it is after the lock, not as in the statement's snapshot.
WITH turn AS (
    SELECT extract(epoch FROM clock_timestamp()) * 1000000 <= $4::bigint
       AND set_config('lock_timeout', $5, true) IS NOT NULL AS in_time,
           current_setting('synchronous_standby_names') <> '' AS synchronous
), held AS (
    SELECT value FROM {schema}.labels WHERE name = $1 AND (SELECT in_time FROM turn) FOR UPDATE
), replaced AS (
    UPDATE {schema}.labels l SET value = $3 FROM held WHERE l.name = $1 AND held.value = $2
)
SELECT turn.in_time, turn.synchronous, held.value,
       CASE WHEN turn.in_time AND turn.synchronous AND held.value IS DISTINCT FROM $2
            THEN pg_logical_emit_message(true, 'rsvp', ''::text)::text END
FROM turn LEFT JOIN held ON true
