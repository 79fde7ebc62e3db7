-- The users among $2 that come to event $1. The subquery with a limit is run for each user, with both
-- columns of the key. `user_id = ANY ($2)` would leave the choice to the planner, and a plan for an
-- event of the usual size reads all attendees of a hot one.
SELECT coalesce(array_agg(found.user_id), '{}'), current_setting('transaction_read_only')::bool
FROM unnest($2::text[]) AS asked (user_id)
CROSS JOIN LATERAL (
    SELECT r.user_id FROM {schema}.rsvps r
    WHERE r.event_id = $1 AND r.user_id = asked.user_id COLLATE "C" LIMIT 1
) found
