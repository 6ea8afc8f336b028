//! What the program knows of a connection beside its user: roles, and a value of its own.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::fmt;

/// A value of the program's own.
pub(crate) type State = Arc<dyn Any + Send + Sync>;

/// What an [`Admission`](super::Admission) gives to a connection beside user and groups.
#[derive(Clone, Default)]
pub(crate) struct Guest {
    roles: Vec<String>,
    state: Option<State>,
}

impl Guest {
    pub(crate) fn add_role(&mut self, role: String) {
        self.roles.push(role);
    }

    pub(crate) fn set_state(&mut self, state: State) {
        self.state = Some(state);
    }

    pub(crate) fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|known| known == role)
    }

    pub(crate) fn state<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::downcast(self.state.clone()?).ok()
    }

    /// The same, to be looked at.
    pub(crate) fn state_ref<T: Any>(&self) -> Option<&T> {
        self.state.as_ref()?.downcast_ref()
    }

    /// For whom nothing was said there is nothing to keep.
    pub(crate) fn shared(self) -> Option<Arc<Self>> {
        let is_nobody = self.roles.is_empty() && self.state.is_none();
        (!is_nobody).then(|| Arc::new(self))
    }

    /// What a client that has returned is from now on: its connection's state stays, whatever it got at the door.
    pub(crate) fn returned(before: Option<&Self>, mut now: Self) -> Option<Arc<Self>> {
        if let Some(state) = before.and_then(|before| before.state.clone()) {
            now.state = Some(state);
        }
        now.shared()
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest")
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}
