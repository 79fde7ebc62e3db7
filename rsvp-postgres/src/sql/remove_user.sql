WITH turn AS (
    SELECT extract(epoch FROM clock_timestamp()) * 1000000 <= $3::bigint AS in_time
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
)
SELECT (SELECT in_time FROM turn), count(*) FROM gone
