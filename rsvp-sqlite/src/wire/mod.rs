//! The file, its connections and their failures, and the queues of calls.

pub(crate) mod call;
pub(crate) mod checkpoint;
pub(crate) mod connection;
pub(crate) mod failure;
pub(crate) mod file;
pub(crate) mod lock;
pub(crate) mod queue;
