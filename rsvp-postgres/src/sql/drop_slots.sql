-- Slots that add up to zero can go together. The sum of the slots that stay or come meanwhile is
-- the same.
WITH turn AS (
    SELECT set_config('lock_timeout', $2, true) IS NOT NULL AS bounded
), slots AS (
    SELECT event_id, slot, count FROM {schema}.counts
    WHERE event_id = ANY ($1::text[]) AND (SELECT bounded FROM turn)
    ORDER BY event_id, slot FOR UPDATE
), empty AS (
    SELECT event_id FROM slots GROUP BY event_id HAVING sum(count) = 0
)
DELETE FROM {schema}.counts c USING slots, empty
WHERE c.event_id = slots.event_id AND c.slot = slots.slot AND empty.event_id = slots.event_id
