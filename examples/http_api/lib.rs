//! The modules of the HTTP service, and of the program that checks it.
//!
//! The service is `main.rs`, the program is `load.rs`. The tests use both from here.

mod api;
mod body;
pub mod check;
mod extract;
mod log;
mod metrics;
mod problem;
mod server;

pub use self::api::App;
pub use self::log::Log;
pub use self::metrics::install as install_metrics;
pub use self::server::{serve, stop_signal};
