//! Real-time events: publish and subscribe, call and answer, over any transport and on any runtime.
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;
#[cfg(all(test, not(feature = "std")))]
extern crate std;

mod id;
pub mod limits;
mod policy;
pub mod session;
mod time;
mod topic;
pub mod wire;

#[cfg(feature = "alloc")]
pub mod registry;

#[cfg(feature = "std")]
mod answers;
#[cfg(feature = "std")]
pub mod client;
#[cfg(feature = "std")]
pub mod hub;
#[cfg(feature = "std")]
mod link;
#[cfg(feature = "std")]
pub mod payload;
#[cfg(feature = "std")]
pub mod protocol;
#[cfg(feature = "std")]
pub mod runtime;
#[cfg(feature = "std")]
mod sync;
#[cfg(feature = "std")]
pub mod transport;

#[cfg(feature = "std")]
pub use self::answers::CallFailure;
#[cfg(feature = "std")]
pub use self::client::{Client, Delivery, Subscription};
#[cfg(feature = "std")]
pub use self::hub::Hub;
pub use self::id::{ConnectionId, NotAnId};
#[cfg(feature = "alloc")]
pub use self::id::{Group, UserId};
pub use self::limits::Limits;
#[cfg(feature = "std")]
pub use self::payload::Typed;
pub use self::policy::Policy;
pub use self::time::Instant;
pub use self::topic::{Topic, TopicError, TopicFilter};
#[cfg(feature = "alloc")]
pub use self::wire::Envelope;
