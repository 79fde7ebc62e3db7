-- The next $2 events after $1 with RSVPs or a count, each with both numbers. One statement sees one
-- snapshot. There the two numbers agree unless something is wrong.
WITH RECURSIVE held (event_id) AS (
    (SELECT event_id FROM {schema}.rsvps WHERE event_id > $1 ORDER BY event_id LIMIT 1)
    UNION ALL
    SELECT (SELECT r.event_id FROM {schema}.rsvps r
            WHERE r.event_id > held.event_id ORDER BY r.event_id LIMIT 1)
    FROM held WHERE held.event_id IS NOT NULL
), step AS (
    SELECT event_id FROM (
        (SELECT event_id FROM held WHERE event_id IS NOT NULL LIMIT $2)
        UNION
        (SELECT DISTINCT event_id FROM {schema}.counts
         WHERE event_id > $1 ORDER BY event_id LIMIT $2)
    ) known ORDER BY event_id LIMIT $2
)
SELECT event_id,
       (SELECT count(*) FROM {schema}.rsvps r WHERE r.event_id = step.event_id),
       (SELECT coalesce(sum(c.count), 0)::bigint FROM {schema}.counts c
        WHERE c.event_id = step.event_id)
FROM step ORDER BY event_id
