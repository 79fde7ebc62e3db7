-- The truth: who is coming to what. Ids compare as bytes, as they do in the library.
CREATE TABLE {schema}.rsvps (
    event_id   text COLLATE "C" NOT NULL,
    user_id    text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, user_id)
) PARTITION BY HASH (event_id);

CREATE INDEX rsvps_by_user ON {schema}.rsvps (user_id, event_id);

DO $$
BEGIN
    FOR part IN 0..15 LOOP
        EXECUTE format(
            'CREATE TABLE {schema}.rsvps_%s PARTITION OF {schema}.rsvps FOR VALUES WITH (MODULUS 16, REMAINDER %s)',
            part, part);
    END LOOP;
END
$$;

-- How many: the count of an event is the sum of its slots. A connection writes to one slot, so
-- that writers of one event seldom wait for each other; a slot alone means nothing and may be
-- negative. The free half of each page keeps updates in place.
CREATE TABLE {schema}.counts (
    event_id text COLLATE "C" NOT NULL,
    slot     smallint NOT NULL,
    count    bigint NOT NULL,
    PRIMARY KEY (event_id, slot)
) WITH (fillfactor = 50);

-- What `ready` writes to, to know that a write would be accepted.
CREATE TABLE {schema}.readiness (
    slot smallint PRIMARY KEY,
    at   timestamptz NOT NULL
) WITH (fillfactor = 50);
