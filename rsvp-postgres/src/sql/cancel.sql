WITH turn AS (
    SELECT extract(epoch FROM clock_timestamp()) * 1000000 <= $3::bigint
           AND set_config('lock_timeout', $4, true) IS NOT NULL AS in_time,
           current_setting('synchronous_standby_names') <> '' AS synchronous
), going AS (
    SELECT r.event_id, r.user_id
    FROM unnest($1::text[], $2::text[]) AS pair (event_id, user_id)
    JOIN {schema}.rsvps r ON r.event_id = pair.event_id COLLATE "C"
                         AND r.user_id = pair.user_id COLLATE "C"
    WHERE (SELECT in_time FROM turn)
    ORDER BY r.event_id, r.user_id
    FOR UPDATE OF r
), gone AS (
    DELETE FROM {schema}.rsvps r USING going
    WHERE r.event_id = going.event_id AND r.user_id = going.user_id
    RETURNING r.event_id, r.user_id
), less AS (
    SELECT event_id, count(*) AS number FROM gone GROUP BY event_id
), counted AS (
    INSERT INTO {schema}.counts AS c (event_id, slot, count)
    SELECT event_id, pg_backend_pid() % 16, -number FROM less ORDER BY event_id
    ON CONFLICT (event_id, slot) DO UPDATE SET count = c.count + excluded.count
), answer AS (
    SELECT coalesce(array_agg(event_id), '{}') AS events, coalesce(array_agg(user_id), '{}') AS users
    FROM gone
)
SELECT turn.in_time, turn.synchronous, answer.events, answer.users,
       ARRAY(SELECT event_id FROM less WHERE number >= (
                 SELECT sum(c.count) FROM {schema}.counts c WHERE c.event_id = less.event_id)),
       CASE WHEN turn.in_time AND turn.synchronous AND answer.events = '{}'
            THEN pg_logical_emit_message(true, 'rsvp', ''::text)::text END
FROM turn, answer
