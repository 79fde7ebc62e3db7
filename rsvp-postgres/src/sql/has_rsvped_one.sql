SELECT coalesce(array_agg(user_id), '{}'), current_setting('transaction_read_only')::bool FROM {schema}.rsvps
WHERE event_id = $1 AND user_id = ANY ($2::text[])
