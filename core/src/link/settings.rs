//! What all connections of a hub have in common: [`Settings`].

use alloc::sync::Arc;
use core::borrow::Borrow;

use crate::limits::Limits;
use crate::protocol::Protocol;
use crate::runtime::Runtime;
use crate::session::{Config, Role};
use crate::transport::Guarding;
use crate::wire::{Encoding, Encodings, Terms};

/// The protocols that a connection may speak; never empty.
pub(crate) type Protocols = Arc<[Arc<dyn Protocol>]>;

/// In one place, because a hub has very many connections: each has this handle.
#[derive(Clone)]
pub(crate) struct Settings(Arc<Common>);

struct Common {
    config: Config,
    protocols: Protocols,
    limits: Limits,
    guarding: Arc<Guarding>,
}

impl Settings {
    pub(crate) fn new(
        protocols: Protocols,
        runtime: Arc<dyn Runtime>,
        limits: &Limits,
        role: Role,
    ) -> Self {
        Self(Arc::new(Common {
            config: config(limits, role),
            protocols,
            limits: *limits,
            guarding: Arc::new(Guarding::new(runtime, limits)),
        }))
    }

    pub(crate) fn protocols(&self) -> &Protocols {
        &self.0.protocols
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// What a transport is guarded with.
    pub(super) fn guarding(&self) -> Arc<Guarding> {
        self.0.guarding.clone()
    }
}

impl Borrow<Config> for Settings {
    fn borrow(&self) -> &Config {
        &self.0.config
    }
}

fn config(limits: &Limits, role: Role) -> Config {
    Config {
        role,
        terms: Terms {
            encodings: Encodings::NONE
                .with(Encoding::Text)
                .with(Encoding::Bytes)
                .with(Encoding::Json)
                .with(Encoding::Postcard),
            // Who promises to speak at every instant has no time for anything else.
            promise_ms: crate::session::millis(limits.promise).max(1),
            message_bytes_max: limits.message_bytes_max,
            subscriptions_max: limits.subscriptions_max,
        },
        grace: limits.grace,
        promise_max: limits.promise_max,
        handshake: limits.handshake,
        closing: limits.closing,
        pings: limits.pings,
        requests: limits.requests,
    }
}
