//! What threads share, in every order that is possible.
//!
//! Loom runs a model again and again, each time with another order of its threads and with other values that the
//! memory order lets them see. Files of `src` are part of this program as they are: they say `crate::sync`, and here that is loom's.
//!
//! `LOOM_LOG=trace LOOM_LOCATION=1 cargo test -p lapwing --test loom name` shows the order that fails.

extern crate alloc;

#[path = "../../src/hub/audiences.rs"]
mod audiences;
#[allow(dead_code, reason = "the models call what threads race for")]
#[path = "../../src/hub/local/log.rs"]
mod log;
#[allow(dead_code, reason = "the models call what threads race for")]
#[path = "../../src/hub/segment.rs"]
mod segment;
#[allow(dead_code, reason = "the models call what threads race for")]
#[path = "../../src/hub/shard.rs"]
mod shard;

mod sync;

mod clock;
mod connection;
mod deadlines;
mod logs;
mod pump;
mod segments;
mod snapshots;

use lapwing::{Instant, runtime};
use loom::thread;

/// What files of `src` know as `crate::time`.
mod time {
    pub(crate) use super::Instant;
}

/// What they know as `crate::hub`.
mod hub {
    pub(crate) use super::segment;
}

/// What they know as `crate::published`.
mod published {
    pub(crate) use lapwing::hub::Published;
}

/// What they know as `crate::wire`.
mod wire {
    pub(crate) use lapwing::Envelope;
}

/// What they know as `crate::topic`.
mod topic {
    pub(crate) use lapwing::Topic;
}

/// What they know as `crate::registry`: how they hash.
mod registry {
    use core::hash::{BuildHasher, Hasher};
    use std::hash::DefaultHasher;

    #[derive(Clone)]
    pub(crate) struct Seed(pub(crate) [u8; 16]);

    impl BuildHasher for Seed {
        type Hasher = DefaultHasher;

        fn build_hasher(&self) -> DefaultHasher {
            let mut hasher = DefaultHasher::new();
            hasher.write(&self.0);
            hasher
        }
    }
}

/// Switches of thread in the midst of an operation that are tried in one run; `LOOM_MAX_PREEMPTIONS` says another number.
const PREEMPTIONS_MAX: usize = 2;

/// Runs `body` in every order.
fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(PREEMPTIONS_MAX);
    builder.check(body);
}

/// Waits for other threads of a model.
fn join<const N: usize>(others: [thread::JoinHandle<()>; N]) {
    for other in others {
        other.join().expect("no panic");
    }
}
