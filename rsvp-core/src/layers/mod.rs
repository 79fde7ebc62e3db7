//! Layers: stores around a store.

mod coalesce;
mod count_cache;
mod ext;
mod intercept;
mod limit;
mod observe;
mod retry;
mod shard;
mod stack;
mod timeout;

pub use self::coalesce::{CoalesceConfig, CoalescedStore};
pub use self::count_cache::{CountCache, CountCacheConfig};
pub use self::ext::LayerExt;
pub use self::limit::{LimitConfig, LimitStore};
pub use self::observe::ObservedStore;
pub use self::retry::{RetryConfig, RetryStore};
pub use self::shard::{Placement, Shard, ShardError, ShardedStore};
pub use self::stack::Layers;
pub use self::timeout::{TimeoutConfig, TimeoutStore};
