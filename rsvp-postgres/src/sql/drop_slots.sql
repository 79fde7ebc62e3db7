-- Slots that add up to zero can go together. The sum of the slots that stay or come meanwhile is
-- the same. The sums are a column of the slots, because a join of the two would be a nested loop:
-- the server expects one sum of zero.
WITH turn AS (
    SELECT set_config('lock_timeout', $2, true) IS NOT NULL AS bounded
), slots AS (
    SELECT event_id, slot, count FROM {schema}.counts
    WHERE event_id = ANY ($1::text[]) AND (SELECT bounded FROM turn)
    ORDER BY event_id, slot FOR UPDATE
), summed AS (
    SELECT event_id, slot, sum(count) OVER (PARTITION BY event_id) AS total FROM slots
)
DELETE FROM {schema}.counts c USING summed
WHERE c.event_id = summed.event_id AND c.slot = summed.slot AND summed.total = 0
