//! The tables: creating and upgrading them, and comparing their counts with their rows.

pub(crate) mod audit;
pub(crate) mod durability;
pub(crate) mod opening;
mod repair;
pub(crate) mod schema;
