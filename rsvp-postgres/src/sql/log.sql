(SELECT system_identifier FROM pg_control_system()),
-- The timeline of a standby is the latest one that it has certainly reached.
CASE WHEN pg_is_in_recovery()
     THEN (SELECT greatest(c.timeline_id, r.min_recovery_end_timeline)::bigint
           FROM pg_control_checkpoint() c, pg_control_recovery() r)
     ELSE ('x' || lpad(left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), 16, '0'))::bit(64)::bigint
END
