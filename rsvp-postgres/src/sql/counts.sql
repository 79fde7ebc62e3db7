SELECT coalesce(array_agg(coalesce(c.total, 0) ORDER BY asked.n), '{}'),
       current_setting('transaction_read_only')::bool
FROM unnest($1::text[]) WITH ORDINALITY AS asked (event_id, n)
LEFT JOIN LATERAL (
    SELECT sum(count)::bigint AS total FROM {schema}.counts
    WHERE event_id = asked.event_id COLLATE "C"
) c ON true
