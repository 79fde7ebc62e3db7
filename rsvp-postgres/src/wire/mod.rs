//! Connections: how they are opened, pooled and chosen, and how their failures are told.

pub(crate) mod connection;
pub(crate) mod failure;
pub(crate) mod lag_tracker;
pub(crate) mod pool;
pub(crate) mod replicas;
