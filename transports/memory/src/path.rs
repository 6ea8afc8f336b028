//! A path: the way between a client and its hub, with its faults and its links.

use core::fmt;
use std::sync::{Arc, Weak};

use lapwing::runtime::Runtime;

use crate::direction::Fault;
use crate::link::{Faults, Link, Tolls};
use crate::toll::{Toll, Traffic};

/// The way between a client and its hub, or one direction of it; a client's name is both directions.
///
/// # Examples
///
/// ```
/// use lapwing_memory::{Network, Path, Virtual};
///
/// let network = Network::new(&Virtual::new(7).runtime());
/// network.stall("phone");
/// network.resume(Path::to_hub("phone"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<'a> {
    pub(crate) client: &'a str,
    to_hub: bool,
    to_client: bool,
}

impl<'a> Path<'a> {
    /// From `client` to its hub.
    pub fn to_hub(client: &'a str) -> Self {
        Self {
            client,
            to_hub: true,
            to_client: false,
        }
    }

    /// To `client` from its hub.
    pub fn to_client(client: &'a str) -> Self {
        Self {
            client,
            to_hub: false,
            to_client: true,
        }
    }
}

impl<'a> From<&'a str> for Path<'a> {
    fn from(client: &'a str) -> Self {
        Self {
            client,
            to_hub: true,
            to_client: true,
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.client)?;
        match (self.to_hub, self.to_client) {
            (true, false) => f.write_str(" to hub"),
            (false, true) => f.write_str(" from hub"),
            _ => Ok(()),
        }
    }
}

/// What a network knows of the path of one client.
#[derive(Default)]
pub(crate) struct PathState {
    faults: Faults,
    tolls: Tolls,
    links: Vec<Weak<Link>>,
}

impl PathState {
    pub(crate) fn faults(&self) -> Faults {
        self.faults
    }

    /// Changes the faults of the ways that `path` names.
    pub(crate) fn set(&mut self, path: Path<'_>, set: impl Fn(&mut Fault)) {
        if path.to_hub {
            set(&mut self.faults.to_hub);
        }
        if path.to_client {
            set(&mut self.faults.to_client);
        }
    }

    /// What was sent on the ways that `path` names.
    pub(crate) fn traffic(&self, path: Path<'_>) -> Traffic {
        let sum = |sum: Traffic, toll: &Arc<Toll>| sum + toll.traffic();
        self.tolls(path).fold(Traffic::default(), sum)
    }

    /// Lets so many units pass on each of the ways that `path` names, then breaks a connection.
    pub(crate) fn cut_after(&self, path: Path<'_>, units: u64) {
        self.tolls(path).for_each(|toll| toll.cut_after(units));
    }

    /// Lets everything pass.
    pub(crate) fn spare(&self) {
        self.tolls.to_hub.spare();
        self.tolls.to_client.spare();
    }

    fn tolls(&self, path: Path<'_>) -> impl Iterator<Item = &Arc<Toll>> {
        let to_hub = path.to_hub.then_some(&self.tolls.to_hub);
        let to_client = path.to_client.then_some(&self.tolls.to_client);
        to_hub.into_iter().chain(to_client)
    }

    /// A new link with the faults of this path.
    pub(crate) fn link(&mut self, runtime: &Arc<dyn Runtime>) -> Arc<Link> {
        let link = Arc::new(Link::new(runtime, &self.faults, &self.tolls));
        // Only when it would grow, so that many clients of one name do not look through all others each time.
        if self.links.len() == self.links.capacity() {
            self.links.retain(|link| link.strong_count() > 0);
        }
        self.links.push(Arc::downgrade(&link));
        link
    }

    /// The links of which an end exists.
    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        self.links.iter().filter_map(Weak::upgrade).collect()
    }
}
