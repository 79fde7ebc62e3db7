//! The connections to the servers, from opening to pooling, and the meaning of their failures.

mod attempt;
mod backend;
mod caller;
mod clock;
pub(crate) mod commit;
pub(crate) mod connection;
pub(crate) mod connector;
mod control;
pub(crate) mod election;
pub(crate) mod failure;
pub(crate) mod footprint;
pub(crate) mod gate;
mod health;
mod lag_tracker;
pub(crate) mod lsn;
mod options;
mod places;
pub(crate) mod pool;
mod replayed;
pub(crate) mod replicas;
mod schedule;
pub(crate) mod session;
mod unsettled;
pub(crate) mod work;
