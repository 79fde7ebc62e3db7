-- Sets the label $1 to $2 if there is none, and answers the value before. A label that is there, or
-- comes meanwhile, is written again as it is, because the statement can read the present row only
-- by writing it. The row is new if no transaction has locked it.
WITH turn AS (
    SELECT extract(epoch FROM clock_timestamp()) * 1000000 <= $3::bigint
       AND set_config('lock_timeout', $4, true) IS NOT NULL AS in_time,
           current_setting('synchronous_standby_names') <> '' AS synchronous
), written AS (
    INSERT INTO {schema}.labels AS l (name, value) SELECT $1::text, $2::text
    WHERE (SELECT in_time FROM turn)
    ON CONFLICT (name) DO UPDATE SET value = l.value
    RETURNING CASE WHEN xmax = 0 THEN NULL ELSE value END AS before
)
SELECT turn.in_time, turn.synchronous, written.before FROM turn LEFT JOIN written ON true
