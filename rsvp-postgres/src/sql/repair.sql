-- Adds the missing number to the count of $1. Writers change rows and counts together, so the
-- difference in this statement's snapshot stays right while they go on.
WITH drift AS (
    SELECT (SELECT count(*) FROM {schema}.rsvps WHERE event_id = $1)
         - (SELECT coalesce(sum(count), 0) FROM {schema}.counts WHERE event_id = $1) AS missing
)
INSERT INTO {schema}.counts AS c (event_id, slot, count)
SELECT $1, pg_backend_pid() % 16, missing::bigint FROM drift WHERE missing <> 0
ON CONFLICT (event_id, slot) DO UPDATE SET count = c.count + excluded.count
