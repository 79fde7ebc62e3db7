WITH turn AS (
    SELECT extract(epoch FROM clock_timestamp()) * 1000000 <= $3::bigint
           AND set_config('lock_timeout', $4, true) IS NOT NULL AS in_time,
           current_setting('synchronous_standby_names') <> '' AS synchronous
), going AS (
    SELECT event_id, user_id FROM {schema}.rsvps
    WHERE user_id = $1 AND (SELECT in_time FROM turn)
    ORDER BY event_id LIMIT $2 FOR UPDATE
), gone AS (
    DELETE FROM {schema}.rsvps r USING going
    WHERE r.event_id = going.event_id AND r.user_id = going.user_id
    RETURNING r.event_id
), counted AS (
    INSERT INTO {schema}.counts AS c (event_id, slot, count)
    SELECT event_id, pg_backend_pid() % 16, -1 FROM gone ORDER BY event_id
    ON CONFLICT (event_id, slot) DO UPDATE SET count = c.count + excluded.count
), answer AS (
    SELECT coalesce(array_agg(event_id), '{}') AS events FROM gone
)
SELECT turn.in_time, turn.synchronous, cardinality(answer.events)::bigint,
       ARRAY(SELECT gone.event_id FROM gone WHERE 1 >= (
                 SELECT sum(c.count) FROM {schema}.counts c WHERE c.event_id = gone.event_id)),
       CASE WHEN turn.in_time AND turn.synchronous AND answer.events = '{}'
            THEN pg_logical_emit_message(true, 'rsvp', ''::text)::text END
FROM turn, answer
