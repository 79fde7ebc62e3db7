-- Records the timeline $1 of the log. A replica with the record has reached it. The name has
-- spaces, so it is not the name of a label.
INSERT INTO {schema}.labels AS l (name, value) VALUES ('timeline of the log', $1::bigint::text)
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE l.value::bigint < $1::bigint
