//! The store keeps the contract, opened by URL with its own layer and those of `rsvp`.

const URL: &str = "sorted:?hedge=1ms&timeout=60s&retry=1s&coalesce=true&count_cache=5s";

rsvp_testkit::conformance!(rsvp_sorted::registry().open(URL).await.unwrap());
