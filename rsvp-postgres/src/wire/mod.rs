//! Connections: opening, pooling and choosing them, and the meaning of their failures.

pub(crate) mod commit;
pub(crate) mod connection;
pub(crate) mod connector;
pub(crate) mod failure;
mod health;
mod lag_tracker;
pub(crate) mod lsn;
mod options;
pub(crate) mod pool;
mod replayed;
pub(crate) mod replicas;
pub(crate) mod work;
