//! Every measured number, beside the command that measured it. Nothing else in this package is
//! measured: other numbers are in `assumptions` and in `prices`.
//!
//! Two shared cores, on which the clients and the server ran together. Ids of 13 bytes.

use serde::Serialize;

/// A number that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Measured {
    /// The name of the constant.
    pub name: &'static str,
    /// The number.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The thing that was measured.
    pub meaning: &'static str,
    /// The command that measures it.
    pub command: &'static str,
    /// Where this repository publishes it.
    pub source: &'static str,
}

macro_rules! measured {
    ($($command:literal, $source:literal: {
        $($name:ident = $value:literal, $unit:literal, $meaning:literal;)*
    })*) => {
        $($(
            #[doc = $meaning]
            pub(crate) const $name: Measured = Measured {
                name: stringify!($name),
                value: $value as f64,
                unit: $unit,
                meaning: $meaning,
                command: $command,
                source: $source,
            };
        )*)*

        /// All of them.
        pub const MEASURED: &[Measured] = &[$($($name,)*)*];
    };
}

measured! {
    "VmRSS of http_api --store memory: (release) in /proc/PID/status, before and after a million RSVPs", "docs/scaling.md; README.md says 140, without the reserve of the allocator": {
        MEMORY_PAIR = 153, "bytes an RSVP", "memory of a process with `rsvp-memory`, both directions";
    }
    "cargo bench -p rsvp-benches --bench sizes -- redis", "benches/README.md, Sizes": {
        REDIS_PAIR = 100, "bytes an RSVP", "memory of Redis 7.0, both directions";
    }
    "cargo bench -p rsvp-benches --bench sizes -- postgres", "benches/README.md, Sizes": {
        POSTGRES_PAIR = 230, "bytes an RSVP", "disk of Postgres 15, both directions and the counts";
    }
    "cargo bench -p rsvp-benches --bench sizes -- sqlite", "benches/README.md, Earlier measurements": {
        SQLITE_PAIR = 36.4, "bytes an RSVP", "the file at 10,000,000 RSVPs";
        SQLITE_WRITES_10M = 7_100, "a second", "RSVPs of 1,000 callers at 10,000,000 RSVPs, on 10,000 events";
        SQLITE_READS_10M = 52_000, "a second", "`has_rsvped` of 1,000 callers at 10,000,000 RSVPs";
        SQLITE_OPEN_10M = 0.281, "seconds", "opening the file after a crash at 10,000,000 RSVPs";
    }
    "cargo bench -p rsvp-benches --bench ratios -- sqlite", "benches/README.md, SQLite": {
        SQLITE_HOT_WRITES_1 = 3_140, "a second", "RSVPs of 1 caller on one event";
        SQLITE_HOT_WRITES_1000 = 40_500, "a second", "RSVPs of 1,000 callers on one event";
        SQLITE_READS_1 = 14_100, "a second", "`has_rsvped` of 1 caller, 10,000 events";
    }
    "the benchmark of Postgres alone, before `--bench backends` replaced it", "benches/README.md, Earlier measurements": {
        POSTGRES_HOT_WRITES_16 = 27_000, "pairs a second", "written in batches of 16 to one event";
        POSTGRES_HOT_WRITES_256 = 58_000, "pairs a second", "written in batches of 256 to one event";
        POSTGRES_WRITES_16 = 18_000, "pairs a second", "written in batches of 16 to 10,000 events";
        POSTGRES_WRITES_256 = 48_000, "pairs a second", "written in batches of 256 to 10,000 events";
        POSTGRES_READS_1 = 6_000, "pairs a second", "`has_rsvped`, one by one";
        POSTGRES_READS_256 = 161_000, "pairs a second", "`has_rsvped` in batches of 256";
        POSTGRES_COUNTS_1 = 8_200, "events a second", "`rsvp_count_batch`, one by one";
        POSTGRES_COUNTS_256 = 51_000, "events a second", "`rsvp_count_batch` in batches of 256";
    }
    "cargo bench -p rsvp-benches --bench ratios -- coalesced", "benches/README.md, Layers": {
        COALESCED_HOT_WRITES = 69_400, "a second", "RSVPs of 10,000 callers on one event through `CoalescedStore`";
        BY_HAND_HOT_WRITES = 1_490, "a second", "the same by hand through a pool of 32 connections";
        COALESCED_WRITES = 67_000, "a second", "RSVPs of 10,000 callers on 10,000 events through `CoalescedStore`";
        BY_HAND_WRITES = 6_890, "a second", "the same by hand";
    }
    "the benchmark of Redis alone, before `--bench backends` replaced it", "benches/README.md, Earlier measurements": {
        REDIS_HOT_WRITES_1 = 162_000, "pairs a second", "written one by one to one event";
        REDIS_HOT_WRITES_256 = 408_000, "pairs a second", "written in batches of 256 to one event";
        REDIS_WRITES_1 = 139_000, "pairs a second", "written one by one to 10,000 events";
        REDIS_WRITES_256 = 298_000, "pairs a second", "written in batches of 256 to 10,000 events";
        REDIS_READS_1 = 276_000, "pairs a second", "`has_rsvped`, one by one, 10,000 events";
        REDIS_READS_256 = 790_000, "pairs a second", "`has_rsvped` in batches of 256, 10,000 events";
        REDIS_COUNTS_1 = 349_000, "events a second", "`rsvp_count_batch`, one by one";
        REDIS_COUNTS_256 = 1_220_000, "events a second", "`rsvp_count_batch` in batches of 256";
    }
    "cargo bench -p rsvp-benches --bench ratios -- overload", "benches/README.md, Layers": {
        OVERLOAD_GOODPUT = 77, "%", "of the best rate, at five times the load, over Postgres that shares two cores with the callers";
        OVERLOAD_MEMORY = 76, "MiB", "gained at most, with 65,536 calls waiting";
        REFUSAL_P99 = 1.39, "µs", "99 % of the refusals take at most this";
    }
    "cargo bench -p rsvp-benches --bench layers", "benches/README.md, Layers": {
        STACK_WRITE = 1_440, "ns", "`rsvp` through cache, coalescing, retries and 4 shards";
        CACHED_COUNT = 167, "ns", "`rsvp_count` from `CountCache`";
    }
    "cargo test -p rsvp-core --features layers --test layers placement -- --nocapture", "benches/README.md, Layers": {
        NINTH_SHARD_MOVES = 11.1, "%", "of all pairs move to a ninth shard";
    }
    "cargo test -p rsvp-core --features layers --test layers staleness -- --nocapture", "benches/README.md, Layers": {
        OLDEST_COUNT = 4_998.5, "ms", "the oldest cached count within a bound of 5,000 ms";
    }
    "RSVP_FAILOVERS=20 cargo test -p rsvp-postgres --test faults -- --nocapture failover::no_acknowledged_write_is_lost_over_failovers_with_two_standbys", "the record of the run on Postgres 18, two standbys of which one is synchronous": {
        POSTGRES_FAILOVERS = 20, "failovers", "of Postgres 18";
        POSTGRES_FAILOVER_WRITES = 38_943, "writes", "acknowledged over these, none lost";
        POSTGRES_GAP_MEDIAN = 0.231, "seconds", "without an acknowledged write, the promotion included, median";
        POSTGRES_GAP_LONGEST = 1.94, "seconds", "the longest of these";
    }
    "RSVP_FAILOVERS=20 cargo test -p rsvp-redis --test faults -- --nocapture no_write_that_the_promoted_replica_was_waited_for_is_lost", "the record of the run on Valkey 9.1": {
        REDIS_FAILOVERS = 20, "failovers", "of Valkey 9.1 with `wait_replicas=1`, promoted by hand";
        REDIS_FAILOVER_WRITES = 5_968, "writes", "acknowledged over these, none lost";
        REDIS_GAP_MEDIAN = 1.97, "seconds", "without an acknowledged write, median";
        REDIS_GAP_LONGEST = 2.0, "seconds", "the longest of these";
    }
    "cargo test -p rsvp-redis --test cluster -- --nocapture failover", "benches/README.md, Redis": {
        CLUSTER_GAP_SHORTEST = 3.0, "seconds", "until a cluster has promoted, shortest, with `cluster-node-timeout` at 2 s";
        CLUSTER_GAP_LONGEST = 4.3, "seconds", "the longest of these";
        CLUSTER_OTHER_SLOTS = 0.023, "seconds", "the slowest call to other slots meanwhile";
    }
    "load --operations 300000 on http_api --store memory: (release), processor time of the service from /proc/PID/stat", "docs/scaling.md, NALSD: median of three, 20.8 to 25.6": {
        HTTP_REQUEST = 23.4, "µs", "of a processor for an HTTP request, the memory store behind it";
    }
    "load --operations 300000 on http_api --store memory: (release), 16 connections, the median of three runs", "docs/scaling.md, NALSD": {
        HTTP_REQUESTS = 27_068, "a second", "requests that a service answers on two cores that it shares with the client";
        HTTP_P95 = 1.06, "ms", "p95 of `has_rsvped` in that run";
    }
    "docs/scaling.md, the drill for SQLite", "docs/scaling.md": {
        SQLITE_DRILL_RSVPS = 1_001_632, "RSVPs", "in the copy, which the restored store has";
        SQLITE_BACKUP = 0.43, "seconds", "`VACUUM INTO` beside a writer";
        SQLITE_COPY_BYTES = 31.4e6, "bytes", "the copy";
        SQLITE_AUDIT = 0.16, "seconds", "`rsvpctl audit` of the restored file, debug build";
    }
    "docs/scaling.md, the drill for Postgres", "docs/scaling.md": {
        POSTGRES_DRILL_RSVPS = 1_001_422, "RSVPs", "archived before the loss, which the restored store has";
        POSTGRES_DUMP = 1.4, "seconds", "`pg_dump -Fc` of a million RSVPs";
        POSTGRES_DUMP_BYTES = 8.2e6, "bytes", "the dump";
        POSTGRES_RESTORE = 3.4, "seconds", "`pg_restore` into a new database";
        POSTGRES_BASE_BACKUP = 3.3, "seconds", "`pg_basebackup` of 402 MB";
        POSTGRES_POINT_IN_TIME = 1.24, "seconds", "copy of the base backup, start, and replay of the archive";
        POSTGRES_UNARCHIVED = 1_216, "writes", "of the last two seconds, not archived yet, lost with the disk";
        POSTGRES_AUDIT = 5.5, "seconds", "`rsvpctl audit` of 10,000 events, debug build";
    }
    "docs/scaling.md, the drill for Redis", "docs/scaling.md": {
        REDIS_DRILL_RSVPS = 999_768, "RSVPs", "in the snapshot, which the restored store has";
        REDIS_BGSAVE = 1.5, "seconds", "`BGSAVE`";
        REDIS_RDB_BYTES = 30.7e6, "bytes", "the snapshot";
        REDIS_RESTART = 0.4, "seconds", "start from the snapshot until `PING` is answered";
        REDIS_UNSAVED = 2_188, "writes", "of the two seconds since the snapshot, lost with the disk";
        REDIS_AUDIT = 47, "seconds", "`rsvpctl audit` of 2,001,056 entries, debug build";
    }
}
