//! The connections to the servers, from opening to pooling, and the meaning of their failures.

mod attempt;
mod backend_process;
mod bulkheads;
mod call_schedule;
mod caller_presence;
pub(crate) mod commit;
mod connect_options;
pub(crate) mod connection;
pub(crate) mod connector;
mod control_connection;
pub(crate) mod election;
pub(crate) mod failure;
mod lag_tracker;
pub(crate) mod lsn;
pub(crate) mod pool;
mod replica_health;
mod replica_read;
pub(crate) mod replicas;
mod server_clock;
pub(crate) mod server_session;
pub(crate) mod shutdown_gate;
mod unsettled_attempts;
pub(crate) mod work;
pub(crate) mod write_set;
