//! The file, its connections, their failures, and the way of a call to a thread and back.

pub(crate) mod call;
pub(crate) mod checkpoint;
pub(crate) mod connection;
pub(crate) mod failure;
pub(crate) mod file;
pub(crate) mod lock;
pub(crate) mod queue;
