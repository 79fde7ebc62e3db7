//! The time limit of the wait for a reply, and its reason.

use std::time::Duration;

/// The time limit of the wait for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReplyTimeout {
    pub(crate) time: Duration,
    /// Whether the deadline of the call ends the wait before the response timeout does. Then the
    /// silence tells nothing about the server.
    pub(crate) of_call: bool,
}
