//! The administration of the tables, with migrations, audits and repairs.

pub(crate) mod audit;
pub(crate) mod durability;
pub(crate) mod opening;
mod repair;
pub(crate) mod schema;
