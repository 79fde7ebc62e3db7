//! The Redis store keeps the contract, on one server and in a cluster, whatever the ids.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and print"
)]

mod support;

mod conformance {
    // With TLS it is a cluster of TLS, which takes the suite's time once.
    #[cfg(not(feature = "tls"))]
    mod cluster;
    mod cursors;
    mod hostile_ids;
    mod sentinels;
    mod standalone;
    #[cfg(feature = "tls")]
    mod tls_cluster;
}
