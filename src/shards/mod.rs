//! Work that needs no communication, cut in shards for any scheduler, and put together again.

mod merge;
mod record;
mod shard;

pub use merge::{Shards, merge, together};
pub use record::{ShardPlace, ShardRecord};
pub use shard::Shard;
