//! Several stores by name in one text keep the contract as one.

#![cfg(feature = "memory")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

const STORES: &str = "a=memory: b*2=memory: c=memory:?coalesce=false \
                      ?spread=2&timeout=60s&retry=1s&coalesce=true&count_cache=5s&limit=500";

rsvp_testkit::conformance!(rsvp::open(STORES).await.unwrap(), except {
    a_store_that_cannot_write_is_not_ready => "there is no engine that could stop",
    an_entry_that_fails_takes_no_other_down => "there is no engine that could refuse an entry",
});
