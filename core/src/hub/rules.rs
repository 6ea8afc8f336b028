//! Who may publish and subscribe what, topic by topic.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::carries::Carries;
use crate::id::{ConnectionId, UserId};
use crate::policy::Policy;
use crate::topic::{Topic, TopicError, TopicFilter};

/// Whoever wants to publish or subscribe, as a rule sees it.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// Its connection.
    pub connection: ConnectionId,
    /// Its user, if it has one.
    pub user: Option<&'a UserId>,
}

type Check = Arc<dyn Fn(Peer<'_>, &str) -> bool + Send + Sync>;

#[derive(Clone)]
enum Access {
    Nobody,
    Anyone,
    If(Check),
}

impl Access {
    fn allows(&self, peer: Peer<'_>, name: &str) -> bool {
        match self {
            Self::Nobody => false,
            Self::Anyone => true,
            // One that panics has not said yes.
            Self::If(check) => {
                catch_unwind(AssertUnwindSafe(|| check(peer, name))).unwrap_or(false)
            }
        }
    }
}

/// What peers may do with the topics of one filter; see [`HubBuilder::topic`](super::HubBuilder::topic).
///
/// A topic that no rule selects is closed to peers: they may neither publish nor subscribe it.
/// The program itself may publish everything.
///
/// # Examples
///
/// ```
/// use lapwing::Policy;
/// use lapwing::hub::Rule;
///
/// // Devices report, everybody may watch, and who is too slow sees the newest value of each topic.
/// let telemetry = Rule::closed()
///     .publish_if(|peer, _topic| peer.user.is_some_and(|user| user.as_str().starts_with("device-")))
///     .subscribe()
///     .policy(Policy::KeepLatest)
///     .payload_bytes_max(1_024);
/// # let _ = telemetry;
/// ```
#[derive(Clone)]
pub struct Rule {
    publish: Access,
    subscribe: Access,
    policy: Policy,
    payload_bytes_max: Option<usize>,
    carries: Option<Carries>,
}

impl Rule {
    /// Nobody may do anything.
    pub fn closed() -> Self {
        Self {
            publish: Access::Nobody,
            subscribe: Access::Nobody,
            policy: Policy::Disconnect,
            payload_bytes_max: None,
            carries: None,
        }
    }

    /// Anyone may publish and subscribe.
    pub fn open() -> Self {
        Self::closed().publish().subscribe()
    }

    /// Anyone may publish.
    pub fn publish(mut self) -> Self {
        self.publish = Access::Anyone;
        self
    }

    /// Those may publish for whom `check` says so; it gets the topic, must not block. A panic is a no.
    pub fn publish_if(
        mut self,
        check: impl Fn(Peer<'_>, &str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.publish = Access::If(Arc::new(check));
        self
    }

    /// Anyone may subscribe.
    pub fn subscribe(mut self) -> Self {
        self.subscribe = Access::Anyone;
        self
    }

    /// Those may subscribe for whom `check` says so; it gets the filter, must not block. A panic is a no.
    pub fn subscribe_if(
        mut self,
        check: impl Fn(Peer<'_>, &str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.subscribe = Access::If(Arc::new(check));
        self
    }

    /// What happens to a subscriber that is full and has not chosen by itself; [`Policy::Disconnect`] otherwise.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The largest payload that a peer may publish, in bytes; otherwise only the message as a whole has a limit.
    pub fn payload_bytes_max(mut self, bytes: usize) -> Self {
        self.payload_bytes_max = Some(bytes);
        self
    }

    /// The values of these topics are `T`s: each peer gets them in the encoding of its protocol, JSON or postcard, whichever the publisher used.
    ///
    /// A peer that publishes a value in one of the two that is no `T` is answered with [`Denied::Payload`](crate::wire::Denied::Payload).
    /// Texts and bytes are what they are in every protocol, and pass. Without a type, JSON stays JSON, and a value
    /// in postcard's form reaches peers that speak JSON as bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use lapwing::hub::Rule;
    ///
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Reading {
    ///     degrees: f32,
    /// }
    ///
    /// let readings = Rule::open().carries::<Reading>();
    /// # let _ = readings;
    /// ```
    pub fn carries<T: Serialize + DeserializeOwned>(mut self) -> Self {
        self.carries = Some(Carries::new::<T>());
        self
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// All rules of a hub, in the order in which they were given.
#[derive(Default)]
pub(crate) struct Rules(Vec<(String, Rule)>);

impl Rules {
    pub(crate) fn add(&mut self, filter: &str, rule: Rule) -> Result<(), TopicError> {
        TopicFilter::new(filter)?;
        self.0.push((filter.into(), rule));
        Ok(())
    }

    fn iter(&self) -> impl Iterator<Item = (TopicFilter<'_>, &Rule)> {
        self.0
            .iter()
            .map(|(filter, rule)| (TopicFilter::checked(filter), rule))
    }

    /// The first rule that selects `topic` decides who may publish it, and how much at a time.
    pub(crate) fn publish(&self, peer: Peer<'_>, topic: Topic<'_>) -> Option<PublishRule> {
        let (_, rule) = self.iter().find(|(filter, _)| filter.matches(topic))?;
        let allowed = rule.publish.allows(peer, topic.as_str());
        allowed.then_some(PublishRule {
            payload_bytes_max: rule.payload_bytes_max,
            carries: rule.carries,
        })
    }

    /// What the values of `topic` are, as the first rule that selects it says.
    pub(crate) fn carries(&self, topic: Topic<'_>) -> Option<Carries> {
        let (_, rule) = self.iter().find(|(filter, _)| filter.matches(topic))?;
        rule.carries
    }

    /// Every rule that shares a topic with `wanted` has to agree; the first of them says what a full subscriber gets.
    pub(crate) fn subscribe(&self, peer: Peer<'_>, wanted: TopicFilter<'_>) -> Option<Policy> {
        let mut concerned = self
            .iter()
            .filter(|(filter, _)| filter.overlaps(wanted))
            .map(|(_, rule)| rule)
            .peekable();
        let policy = concerned.peek()?.policy;
        concerned
            .all(|rule| rule.subscribe.allows(peer, wanted.as_str()))
            .then_some(policy)
    }
}

/// What a peer has to keep to when it publishes.
pub(crate) struct PublishRule {
    pub(crate) payload_bytes_max: Option<usize>,
    pub(crate) carries: Option<Carries>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_needs_every_rule_that_it_touches() {
        let mut rules = Rules::default();
        rules
            .add("secret/**", Rule::closed())
            .expect("a good filter");
        rules
            .add("**", Rule::open().policy(Policy::DropOldest))
            .expect("a good filter");
        let peer = Peer {
            connection: ConnectionId::from_bytes([0; 16]),
            user: None,
        };
        let ask = |filter| rules.subscribe(peer, TopicFilter::new(filter).expect("a good filter"));
        assert_eq!(ask("news/*"), Some(Policy::DropOldest));
        assert_eq!(ask("secret/plan"), None);
        assert_eq!(ask("**"), None);
        assert_eq!(ask("*/plan"), None);
    }

    #[test]
    fn a_check_that_panics_has_not_said_yes() {
        let mut rules = Rules::default();
        let rule = Rule::closed()
            .publish_if(|_, _| panic!("a fault of the application"))
            .subscribe_if(|_, _| panic!("a fault of the application"));
        rules.add("a", rule).expect("a good filter");
        let peer = Peer {
            connection: ConnectionId::from_bytes([0; 16]),
            user: None,
        };
        let topic = Topic::new("a").expect("a good topic");
        assert!(rules.publish(peer, topic).is_none());
        assert!(rules.subscribe(peer, topic.into()).is_none());
    }

    #[test]
    fn what_no_rule_selects_is_closed() {
        let rules = Rules::default();
        let peer = Peer {
            connection: ConnectionId::from_bytes([0; 16]),
            user: None,
        };
        assert!(
            rules
                .publish(peer, Topic::new("a").expect("a good topic"))
                .is_none()
        );
        assert!(
            rules
                .subscribe(peer, TopicFilter::new("a").expect("a good filter"))
                .is_none()
        );
    }
}
