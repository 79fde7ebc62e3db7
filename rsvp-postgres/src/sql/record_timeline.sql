-- Records the timeline $1 of the log, so that replicas show that they have reached it. No label has a
-- name with spaces.
INSERT INTO {schema}.labels AS l (name, value) VALUES ('timeline of the log', $1::bigint::text)
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE l.value::bigint < $1::bigint
