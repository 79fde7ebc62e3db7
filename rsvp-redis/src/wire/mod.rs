//! The servers: connections, who owns which slot, and how a request reaches its owner.

pub(crate) mod client;
pub(crate) mod connection;
pub(crate) mod failure;
pub(crate) mod node;
pub(crate) mod request;
pub(crate) mod route;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod topology;
