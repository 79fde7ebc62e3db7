-- Version 1. Names are kept once, as numbers everywhere else: a pair costs about 34 bytes, in both
-- directions, where its names would cost 65 and more.

-- Events with RSVPs, and the number of those.
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    count INTEGER NOT NULL
) STRICT;

-- Users with RSVPs.
CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- The RSVPs, by the ids of their event and their user.
CREATE TABLE rsvps (
    event INTEGER NOT NULL,
    user INTEGER NOT NULL,
    PRIMARY KEY (event, user)
) STRICT, WITHOUT ROWID;

-- The other direction. An index has the primary key behind its columns, so this is (user, event).
CREATE INDEX rsvps_of_users ON rsvps (user);

-- What the store keeps about itself.
CREATE TABLE labels (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The RSVPs by name, for people and other programs.
CREATE VIEW named_rsvps (event, user) AS
    SELECT events.name, users.name
    FROM rsvps
    JOIN events ON events.id = rsvps.event
    JOIN users ON users.id = rsvps.user;

-- The counts by name.
CREATE VIEW named_counts (event, count) AS SELECT name, count FROM events;
