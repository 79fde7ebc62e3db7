//! The store keeps the contract, opened by URL with its own layer and those of `rsvp`.

const URL: &str = "sorted:?hedge=1ms&timeout=60s&retry=1s&coalesce=true&count_cache=5s";

rsvp_testkit::conformance!(rsvp_sorted::registry().open(URL).await.unwrap(), except {
    a_store_that_cannot_write_is_not_ready => "there is no engine that could stop",
    an_entry_that_fails_takes_no_other_down => "there is no engine that could refuse an entry",
});
