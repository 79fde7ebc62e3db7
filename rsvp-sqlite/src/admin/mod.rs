//! Opening, schema, audit, repair and backup of the file.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod opening;
pub(crate) mod schema;
