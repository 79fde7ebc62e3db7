WITH turn AS (
    SELECT extract(epoch FROM clock_timestamp()) * 1000000 <= $3::bigint AS in_time
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
), counted AS (
    INSERT INTO {schema}.counts AS c (event_id, slot, count)
    SELECT event_id, pg_backend_pid() % 16, -count(*) FROM gone GROUP BY event_id ORDER BY event_id
    ON CONFLICT (event_id, slot) DO UPDATE SET count = c.count + excluded.count
)
SELECT (SELECT in_time FROM turn),
       coalesce(array_agg(event_id), '{}'), coalesce(array_agg(user_id), '{}') FROM gone
