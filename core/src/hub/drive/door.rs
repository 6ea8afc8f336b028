//! Letting a client in, or not.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::Drive;
use super::returning::nothing_to_return_to;
use crate::hub::Remote;
use crate::hub::admission::{Admission, Ask, Refuse};
use crate::hub::connection::{Connection, Live};
use crate::hub::guest::Guest;
use crate::hub::log;
use crate::hub::resume::{Claim, Resume};
use crate::registry::Key;
use crate::runtime::BoxFuture;
use crate::session::{Grant, Input};
use crate::sync::{read, write};
use crate::time::Instant;
use crate::transport::{Info, Upgrade};
use crate::wire::{Frame, Hello, Refusal};

/// How long a client with a ticket that says nothing after its welcome is given to begin to count: there are some that hear what comes together
/// with the welcome, and do not count it.
const COUNTS_AFTER: Duration = Duration::from_millis(250);

/// What matters until a client is let in.
pub(super) struct Entering {
    /// Of its transport.
    info: Info,
    /// Why it was not even asked for its hello.
    turned_away: Option<Refusal>,
    /// The transport's own handshake is done, or never will be.
    open: bool,
    /// What the peer asked for in it, until somebody wants to know.
    upgrade: Option<Box<Upgrade>>,
    admission: Option<BoxFuture<'static, Result<Admission, Refuse>>>,
    /// The client would like to resume later.
    resumable: bool,
    /// What it said of the session that it wants to resume.
    pub(super) resume: Option<Resume>,
}

impl Entering {
    pub(super) fn new(info: Info, turned_away: Option<Refusal>) -> Self {
        Self {
            info,
            turned_away,
            open: false,
            upgrade: None,
            admission: None,
            resumable: false,
            resume: None,
        }
    }
}

impl Drive {
    pub(super) fn is_open(&self) -> bool {
        self.entering.as_ref().is_none_or(|entering| entering.open)
    }

    /// Whether the application is about to decide.
    pub(super) fn is_being_decided(&self) -> bool {
        let entering = self.entering.as_ref();
        entering.is_some_and(|entering| entering.admission.is_some())
    }

    pub(super) fn forget_admission(&mut self) {
        if let Some(entering) = &mut self.entering {
            entering.admission = None;
        }
    }

    /// Waits for the transport's own handshake, which may say hello already.
    pub(super) fn open(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let opened = self.live(|live| live.link.poll_open(cx));
        let upgrade = ready!(opened.unwrap_or(Poll::Ready(None)));
        let turned_away = self.entering.as_mut().and_then(|entering| {
            entering.open = true;
            entering.turned_away
        });
        if let Some(reason) = turned_away {
            self.refuse(&Refuse::new(reason, Some(self.shared().return_after())));
            return Poll::Ready(());
        }
        if self.live(|live| live.link.is_too_late()) == Some(true) {
            self.refuse(&nothing_to_return_to());
            return Poll::Ready(());
        }
        let Some(upgrade) = upgrade else {
            return Poll::Ready(());
        };
        let resumption = upgrade.resumption();
        let wish = resumption.wish();
        let implied = self.live(|live| live.link.implied_hello(&upgrade, wish));
        if let Some(entering) = &mut self.entering {
            entering.upgrade = Some(upgrade);
        }
        if let Some(Input::Hello(hello)) = implied {
            self.hello(hello, now);
        }
        Poll::Ready(())
    }

    pub(super) fn hello(&mut self, hello: Hello<'_>, now: Instant) {
        if let Err(refuse) = self.remember(&hello) {
            return self.refuse(&refuse);
        }
        let resumes = self.resumes();
        self.classify(resumes.as_deref());
        // Before the application is asked: it may take its time, and it may keep books.
        let has_place = resumes.as_ref().is_some_and(|before| !before.is_away());
        if let Some(refuse) = self.shared().has_no_place(has_place) {
            return self.refuse(&refuse);
        }
        let hub = self.hub.shared.clone();
        let Some(hook) = &hub.on_connect else {
            return self.admit(Ok(Admission::anonymous()), now);
        };
        let protocol = self.protocol().name();
        let Some(entering) = &mut self.entering else {
            return;
        };
        let upgrade = entering.upgrade.take();
        let token = hello.token.map(Bytes::copy_from_slice);
        entering.admission = Some(hook(Ask {
            connection: self.connection.id,
            resumes: resumes.map(|before| before.id),
            token: token.or_else(|| upgrade.as_ref()?.token()),
            transport: entering.info.name,
            protocol,
            peer: entering.info.peer.take(),
            upgrade,
        }));
    }

    /// Decides which bytes the client gets: what it speaks is known, or is what it spoke before.
    fn classify(&self, resumes: Option<&Connection>) {
        let classes = &self.shared().classes;
        let spoken = resumes.map(|before| &classes.get(before.class()).protocol);
        let spoken = spoken.filter(|_| self.returns_by_ticket());
        self.live(|live| {
            let protocol = spoken.unwrap_or(live.link.protocol());
            let class = classes.find(protocol, live.link.framing()).clone();
            self.connection.set_class(&class, live);
        });
    }

    pub(super) fn returns_by_ticket(&self) -> bool {
        self.resume().is_some_and(Resume::is_by_ticket)
    }

    /// What the client said of the session that it wants to resume.
    fn resume(&self) -> Option<&Resume> {
        self.entering.as_ref()?.resume.as_ref()
    }

    /// The connection that the client wants to resume.
    fn resumes(&self) -> Option<Arc<Connection>> {
        let resume = self.resume()?;
        let key = self.shared().tokens.find(&resume.token)?;
        read(&self.shared().registry).get(key).cloned()
    }

    /// Lets the application decide, if it has not yet.
    pub(super) fn decide(&mut self, now: Instant, cx: &mut Context<'_>) {
        let entering = self.entering.as_mut();
        let Some(admission) = entering.and_then(|entering| entering.admission.as_mut()) else {
            return;
        };
        let decision = match catch_unwind(AssertUnwindSafe(|| admission.as_mut().poll(cx))) {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(decision)) => decision,
            Err(_) => Err(Refuse::unauthorized("")),
        };
        self.forget_admission();
        self.admit(decision, now);
    }

    fn admit(&mut self, decision: Result<Admission, Refuse>, now: Instant) {
        // Too late for a welcome when the session is over: then nobody has come.
        if self
            .live(|live| live.link.session.is_ended())
            .unwrap_or(true)
        {
            return;
        }
        let entered = decision.and_then(|admission| match self.hand_over(&admission, now)? {
            true => Ok(None),
            false => self.enter(admission).map(Some),
        });
        match entered {
            Err(refuse) => self.refuse(&refuse),
            Ok(Some(key)) => self.welcome(key, now),
            Ok(None) => {}
        }
    }

    fn welcome(&mut self, key: Key, now: Instant) {
        let shared = self.hub.shared.clone();
        self.key = Some(key);
        shared.counters.connected();
        shared.settle();
        let Some(entering) = self.entering.take() else {
            return;
        };
        log::connected(&self.connection, entering.info.name);
        let token = (entering.resumable && shared.limits.resume.is_some()).then(|| shared.token());
        if let Some(token) = token {
            shared.tokens.insert(token, key);
        }
        self.live(|live| {
            let lane = &mut live.store.lane;
            lane.set_message_bytes_max(live.link.session.peer().message_bytes_max);
            match (token, live.link.ticket()) {
                (None, _) => {}
                (Some(_), None) => lane.keep_sent(shared.limits.resume_bytes_max),
                (Some(token), Some(ticket)) => {
                    ticket.admit(token);
                    lane.keep_all_sent(shared.limits.resume_bytes_max);
                    lane.hold(now + COUNTS_AFTER);
                }
            }
            let number = self.connection.number;
            live.claim = token.map(|token| Box::new(Claim::new(token, number)));
            let grant = Grant {
                resume_token: token,
                ..Grant::default()
            };
            if let Some(welcome) = live.link.session.welcome(self.connection.id, grant, now) {
                live.link.send_first(&Frame::Welcome(welcome));
            }
        });
        if let Some(hook) = &shared.on_connected {
            let remote = Remote::new(self.hub.clone(), self.connection.id);
            let _ = catch_unwind(AssertUnwindSafe(|| hook(remote)));
        }
    }

    /// Keeps what the client wants of resuming until it is let in.
    fn remember(&mut self, hello: &Hello<'_>) -> Result<(), Refuse> {
        let may_return = |live: &mut Live| (live.link.may_return(), live.link.has_returned());
        let (may_return, by_ticket) = self.live(may_return).unwrap_or_default();
        let max = self.shared().limits.subscriptions_max as usize + 1;
        let Some(entering) = &mut self.entering else {
            // It was let in before.
            return Err(Refuse::new(Refusal::Malformed, None));
        };
        entering.resumable = hello.resumable && may_return;
        let Some((token, received)) = hello.resume else {
            return Ok(());
        };
        if hello.positions.len() > max {
            return Err(Refuse::new(Refusal::Malformed, None));
        }
        entering.resume = Some(Resume {
            token,
            received: (!by_ticket).then_some(received),
            positions: hello.positions.iter().collect(),
        });
        Ok(())
    }

    fn refuse(&self, refuse: &Refuse) {
        let Refuse {
            reason,
            retry_after,
            message,
        } = refuse;
        self.live(|live| {
            let refused = live.link.session.refuse(*reason, *retry_after, message);
            live.link.send_first(&Frame::Refused(refused));
        });
    }

    /// Puts the connection into the registry, with its user and its first groups, as one step.
    fn enter(&mut self, admission: Admission) -> Result<Key, Refuse> {
        let Admission {
            user,
            groups,
            guest,
        } = admission;
        let shared = self.hub.shared.clone();
        let refuse = |reason| Refuse::new(reason, Some(shared.return_after()));
        if shared.is_stopping() {
            return Err(refuse(Refusal::Shutdown));
        }
        // Who finds the connection in the registry sees it.
        self.set_guest(guest.shared());
        let mut registry = write(&shared.registry);
        if shared.is_full(&registry) {
            return Err(refuse(Refusal::Full));
        }
        let inserted = registry.insert(self.connection.id, user.clone(), self.connection.clone());
        let key = inserted.ok_or_else(|| refuse(Refusal::Full))?;
        let groups_max = shared.limits.groups_max as usize;
        let joined = groups
            .iter()
            .try_for_each(|group| registry.join(key, group, groups_max).map(|_| ()));
        if joined.is_err() {
            registry.remove(key);
        }
        shared.changed(&registry);
        self.user = user;
        let entering = self.entering.as_ref();
        if entering.is_some_and(|entering| entering.resumable) {
            self.groups = groups.into();
        }
        joined
            .map(|()| key)
            .map_err(|_| Refuse::unauthorized("too many groups"))
    }

    pub(super) fn set_guest(&mut self, guest: Option<Arc<Guest>>) {
        self.live(|live| live.guest.clone_from(&guest));
        self.guest = guest;
    }
}
