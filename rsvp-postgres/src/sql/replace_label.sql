-- Replaces the label $1 by $3 if it holds $2, and answers the value of before. A locked row is read
-- as it is after the lock, not as in the statement's snapshot.
WITH turn AS (
    SELECT extract(epoch FROM clock_timestamp()) * 1000000 <= $4::bigint AS in_time
), held AS (
    SELECT value FROM {schema}.labels WHERE name = $1 AND (SELECT in_time FROM turn) FOR UPDATE
), replaced AS (
    UPDATE {schema}.labels l SET value = $3 FROM held WHERE l.name = $1 AND held.value = $2
)
SELECT turn.in_time, held.value FROM turn LEFT JOIN held ON true
