//! The tables: their creation, and the comparison of counts with rows.

pub(crate) mod audit;
pub(crate) mod schema;
