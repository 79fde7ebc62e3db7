//! The tables, their creation and upgrades, and the comparison of their counts with their rows.

pub(crate) mod audit;
pub(crate) mod durability;
pub(crate) mod opening;
mod repair;
pub(crate) mod schema;
