WITH turn AS (
    SELECT extract(epoch FROM clock_timestamp()) * 1000000 <= $3::bigint
           AND set_config('lock_timeout', $4, true) IS NOT NULL AS in_time,
           current_setting('synchronous_standby_names') <> '' AS synchronous
), added AS (
    INSERT INTO {schema}.rsvps (event_id, user_id)
    SELECT event_id, user_id FROM unnest($1::text[], $2::text[]) AS pair (event_id, user_id)
    WHERE (SELECT in_time FROM turn)
    ON CONFLICT DO NOTHING
    RETURNING event_id, user_id
), counted AS (
    INSERT INTO {schema}.counts AS c (event_id, slot, count)
    SELECT event_id, pg_backend_pid() % 16, count(*) FROM added GROUP BY event_id ORDER BY event_id
    ON CONFLICT (event_id, slot) DO UPDATE SET count = c.count + excluded.count
), answer AS (
    SELECT coalesce(array_agg(event_id), '{}') AS events, coalesce(array_agg(user_id), '{}') AS users
    FROM added
)
SELECT turn.in_time, turn.synchronous, answer.events, answer.users, '{}'::text[],
       CASE WHEN turn.in_time AND turn.synchronous AND answer.events = '{}'
            THEN pg_logical_emit_message(true, 'rsvp', ''::text)::text END
FROM turn, answer
