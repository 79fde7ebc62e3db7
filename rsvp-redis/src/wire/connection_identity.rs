//! The identity of a connection, the server's process and its id for the connection.

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionIdentity {
    /// The process of the server.
    pub(crate) server: u64,
    /// The id of the connection in the process (`CLIENT ID`). `None` if the user may not ask for
    /// it, or may not kill it.
    pub(crate) id: Option<u64>,
}
