//! Administration, with the durability, the layout, and the audit and repair of the user index.

pub(crate) mod audit;
pub(crate) mod durability;
pub(crate) mod layout;
pub(crate) mod repair;
