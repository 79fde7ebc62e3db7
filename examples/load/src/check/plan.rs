//! The settings of a run.

/// A random run on one service.
#[derive(Debug)]
pub struct Plan {
    /// The service's host and port.
    pub address: String,
    /// The number of operations in all; reading a whole list is one.
    pub operations: usize,
    /// The number of connections that share the operations.
    pub connections: usize,
    /// The number of users.
    pub users: usize,
    /// The number of events.
    pub events: usize,
    /// The seed of every random choice.
    pub seed: u64,
    /// The beginning of all ids, new to the store.
    pub prefix: String,
}
