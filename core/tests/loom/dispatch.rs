//! What `hub/audiences.rs` knows of `hub/dispatch.rs`: an audience, here of numbers.

use alloc::sync::Arc;

/// Who hears a topic.
pub(crate) struct Audience<L = Listener> {
    pub(crate) listeners: Arc<[L]>,
    pub(crate) keep: Option<()>,
}

/// One of them.
pub(crate) type Listener = u32;

impl<L> Audience<L> {
    pub(crate) fn len(&self) -> usize {
        self.listeners.len()
    }
}

impl<L> Clone for Audience<L> {
    fn clone(&self) -> Self {
        Self {
            listeners: self.listeners.clone(),
            keep: self.keep,
        }
    }
}
