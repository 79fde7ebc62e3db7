//! Administration: what servers keep, and mending what differs.

pub(crate) mod durability;
pub(crate) mod repair;
