//! A mistake in the URL is answered with the name of the parameter.

#[tokio::test]
async fn an_unknown_parameter_is_named() {
    let error = rsvp_sorted::registry().open("sorted:?coalese=true").await.unwrap_err();
    assert!(error.to_string().contains("unknown parameter `coalese`"), "{error}");
}
