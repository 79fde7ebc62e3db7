//! The tables: creating and upgrading them, and comparing their counts with their rows.

pub(crate) mod audit;
mod repair;
pub(crate) mod schema;
