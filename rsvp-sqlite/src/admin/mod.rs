//! Opening the file: its schema, its lock; and its audit and repair.

pub(crate) mod audit;
pub(crate) mod opening;
pub(crate) mod schema;
