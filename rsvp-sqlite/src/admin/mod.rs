//! Opening the file: its schema, its lock; its audit and repair; a copy of it.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod opening;
pub(crate) mod schema;
