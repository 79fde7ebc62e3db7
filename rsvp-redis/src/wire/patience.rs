//! The wait for a reply.

use std::time::Duration;

/// How long a reply is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    pub(crate) time: Duration,
    /// Whether the deadline of the call ends the wait before the response timeout does. Then the
    /// silence tells nothing about the server.
    pub(crate) of_call: bool,
}
