//! The store keeps the contract, also behind layers and opened by URL.

rsvp_testkit::conformance!(rsvp_sorted::SortedStore::default());

mod opened_with_layers {
    const URL: &str = "sorted:?retry=2s&coalesce=true&count_cache=5s";

    rsvp_testkit::conformance!(rsvp_sorted::registry().open(URL).await.unwrap());
}

#[tokio::test]
async fn an_unknown_parameter_is_named() {
    let error = rsvp_sorted::registry().open("sorted:?coalese=true").await.unwrap_err();
    assert!(error.to_string().contains("unknown parameter `coalese`"), "{error}");
}
