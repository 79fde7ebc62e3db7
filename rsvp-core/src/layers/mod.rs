//! Layers: stores around a store.

mod call;
mod coalesce;
mod count_cache;
mod ext;
mod layered;
mod limit;
mod observe;
mod retry;
mod shard;
mod stack;
mod timeout;

pub use self::call::Call;
pub use self::coalesce::{CoalesceConfig, CoalescedStore};
pub use self::count_cache::{CountCache, CountCacheConfig};
pub use self::ext::LayerExt;
pub use self::layered::{Layer, Layered};
pub use self::limit::{Limit, LimitConfig, LimitStore};
pub use self::observe::{Observe, ObservedStore};
pub use self::retry::{Retry, RetryConfig, RetryStore};
pub use self::shard::{Placement, Shard, ShardError, ShardedStore};
pub use self::stack::Layers;
pub use self::timeout::{Timeout, TimeoutConfig, TimeoutStore};
