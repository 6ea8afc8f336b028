//! Who may publish and subscribe what, topic by topic.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::access::{Access, Action, Authority, Peer};
use super::carries::Carries;
use super::history::{History, Keep};
use crate::policy::Policy;
use crate::topic::{Topic, TopicError, TopicFilter};

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
///     .publish_if(|peer, _topic| peer.has_role("device"))
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
    keep: Keep,
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
            keep: Keep::default(),
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

    /// These topics keep their newest events, each topic its own, for those who subscribe later or were away: see
    /// [`Start`](crate::wire::Start). The events of the program itself too.
    ///
    /// All that is kept is bounded by [`Limits::history_bytes_max`](crate::Limits::history_bytes_max) and
    /// [`Limits::history_topics_max`](crate::Limits::history_topics_max). It ends with the hub, or with [`Hub::forget`](super::Hub::forget).
    ///
    /// The first rule that selects a topic decides for it. Subscriptions that begin in the past need it of all their topics.
    ///
    /// # Examples
    ///
    /// ```
    /// use lapwing::hub::{History, Rule};
    ///
    /// let chat = Rule::open().history(History::default());
    /// # let _ = chat;
    /// ```
    pub fn history(mut self, history: History) -> Self {
        self.keep.history = Some(history);
        self
    }

    /// These topics keep their newest event, however old, for those who subscribe later: a state, like a position or a setting.
    ///
    /// It stays until a newer one takes its place, until [`Hub::forget`](super::Hub::forget), or until there is no room for it in
    /// [`Limits::history_bytes_max`](crate::Limits::history_bytes_max). As with [`history`](Self::history), the first rule that selects a topic decides.
    ///
    /// # Examples
    ///
    /// ```
    /// use lapwing::Policy;
    /// use lapwing::hub::Rule;
    ///
    /// let positions = Rule::open().retain().policy(Policy::KeepLatest);
    /// # let _ = positions;
    /// ```
    pub fn retain(mut self) -> Self {
        self.keep.retain = true;
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
pub(crate) struct Rules {
    rules: Vec<(String, Rule)>,
    authority: Authority,
}

impl Rules {
    pub(crate) fn new(authority: Authority) -> Self {
        Self {
            rules: Vec::new(),
            authority,
        }
    }

    pub(crate) fn add(&mut self, filter: &str, rule: Rule) -> Result<(), TopicError> {
        TopicFilter::new(filter)?;
        self.rules.push((filter.into(), rule));
        Ok(())
    }

    fn iter(&self) -> impl Iterator<Item = (TopicFilter<'_>, &Rule)> {
        self.rules
            .iter()
            .map(|(filter, rule)| (TopicFilter::checked(filter), rule))
    }

    /// The first rule that selects `topic` decides who may publish it, and how much at a time.
    pub(crate) fn publish(&self, peer: Peer<'_>, topic: Topic<'_>) -> Option<PublishRule> {
        let rule = self.first(topic)?;
        let name = topic.as_str();
        let allowed =
            rule.publish.allows(peer, name) && self.authority.allows(peer, Action::Publish(name));
        allowed.then_some(PublishRule {
            payload_bytes_max: rule.payload_bytes_max,
            carries: rule.carries,
            keeps: !rule.keep.is_nothing(),
            asks: matches!(rule.publish, Access::If(_)) || self.authority.asks(),
        })
    }

    /// What the values of `topic` are, as the first rule that selects it says.
    pub(crate) fn carries(&self, topic: Topic<'_>) -> Option<Carries> {
        self.first(topic)?.carries
    }

    /// What is kept of `topic`, if anything is.
    pub(crate) fn keep(&self, topic: Topic<'_>) -> Option<Keep> {
        let keep = self.first(topic)?.keep;
        (!keep.is_nothing()).then_some(keep)
    }

    fn first(&self, topic: Topic<'_>) -> Option<&Rule> {
        let (_, rule) = self.iter().find(|(filter, _)| filter.matches(topic))?;
        Some(rule)
    }

    /// Whether some topic keeps something.
    pub(crate) fn keep_anything(&self) -> bool {
        self.rules.iter().any(|(_, rule)| !rule.keep.is_nothing())
    }

    /// Whether every topic of a filter has a history.
    pub(crate) fn history_covers(&self, wanted: TopicFilter<'_>) -> bool {
        for (filter, rule) in self.iter() {
            if filter.overlaps(wanted) && rule.keep.history.is_none() {
                return false;
            }
            if filter.covers(wanted) {
                return true;
            }
        }
        false
    }

    /// Whether some topic of a filter keeps a value.
    pub(crate) fn may_keep(&self, wanted: TopicFilter<'_>) -> bool {
        let mut rules = self.iter();
        rules.any(|(filter, rule)| filter.overlaps(wanted) && !rule.keep.is_nothing())
    }

    /// Every rule that shares a topic with `wanted` has to agree; the first of them says what a full subscriber gets.
    pub(crate) fn subscribe(&self, peer: Peer<'_>, wanted: TopicFilter<'_>) -> Option<Policy> {
        let mut concerned = self
            .iter()
            .filter(|(filter, _)| filter.overlaps(wanted))
            .map(|(_, rule)| rule)
            .peekable();
        let policy = concerned.peek()?.policy;
        let name = wanted.as_str();
        let allowed = concerned.all(|rule| rule.subscribe.allows(peer, name))
            && self.authority.allows(peer, Action::Subscribe(name));
        allowed.then_some(policy)
    }

    /// Whether a peer may call a method.
    pub(crate) fn call(&self, peer: Peer<'_>, method: &str) -> bool {
        self.authority.allows(peer, Action::Call(method))
    }
}

/// What a peer has to keep to when it publishes.
#[derive(Clone, Copy)]
pub(crate) struct PublishRule {
    pub(crate) payload_bytes_max: Option<usize>,
    pub(crate) carries: Option<Carries>,
    /// What is published may be read again.
    pub(crate) keeps: bool,
    /// The program is asked each time.
    pub(crate) asks: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ConnectionId;

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
            guest: None,
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
            guest: None,
        };
        let topic = Topic::new("a").expect("a good topic");
        assert!(rules.publish(peer, topic).is_none());
        assert!(rules.subscribe(peer, topic.into()).is_none());
    }

    #[test]
    fn history_covers_a_filter_when_each_of_its_topics_has_one() {
        let mut rules = Rules::default();
        let mut add = |filter, rule| rules.add(filter, rule).expect("a good filter");
        add("news/today", Rule::open().history(History::default()));
        add("news/*", Rule::open().history(History::default()).retain());
        add("state/**", Rule::open().retain());
        add("**", Rule::open());
        let filter = |text| TopicFilter::new(text).expect("a good filter");
        for covered in ["news/*", "news/today", "news/late"] {
            assert!(rules.history_covers(filter(covered)), "{covered}");
        }
        for other in ["news/**", "news", "*/today", "state/a", "chat", "**"] {
            assert!(!rules.history_covers(filter(other)), "{other}");
        }
        assert!(rules.may_keep(filter("**")) && rules.may_keep(filter("state/a")));
        assert!(!rules.may_keep(filter("chat/*")));
        let topic = |text| Topic::new(text).expect("a good topic");
        assert!(rules.keep(topic("chat")).is_none());
        assert!(
            !rules
                .keep(topic("news/today"))
                .is_some_and(|keep| keep.retain)
        );
        assert!(
            rules
                .keep(topic("news/late"))
                .is_some_and(|keep| keep.retain)
        );
    }

    #[test]
    fn what_no_rule_selects_is_closed() {
        let rules = Rules::default();
        let peer = Peer {
            connection: ConnectionId::from_bytes([0; 16]),
            user: None,
            guest: None,
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
