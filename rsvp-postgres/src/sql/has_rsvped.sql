SELECT coalesce(array_agg(r.user_id IS NOT NULL ORDER BY pair.n), '{}'),
       current_setting('transaction_read_only')::bool
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS pair (event_id, user_id, n)
LEFT JOIN {schema}.rsvps r ON r.event_id = pair.event_id COLLATE "C"
                          AND r.user_id = pair.user_id COLLATE "C"
