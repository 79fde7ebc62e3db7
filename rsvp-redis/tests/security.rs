//! Rights, logins and TLS: nothing more is asked for than documented, and no secret is told.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and print"
)]

mod support;

mod security {
    mod least_privilege;
    mod login;
    #[cfg(feature = "tls")]
    mod tls;
}
