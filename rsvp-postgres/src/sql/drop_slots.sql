-- Slots that add up to nothing can go together, whatever the event holds: the sum of those that
-- stay, or come meanwhile, is the same.
WITH slots AS (
    SELECT slot, count FROM {schema}.counts WHERE event_id = $1 ORDER BY slot FOR UPDATE
)
DELETE FROM {schema}.counts c USING slots
WHERE c.event_id = $1 AND c.slot = slots.slot AND (SELECT sum(count) FROM slots) = 0
