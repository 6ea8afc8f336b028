//! Letting a client in, or not.

use core::task::{Context, Poll, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::Drive;
use crate::hub::admission::{Admission, Ask, Refuse};
use crate::hub::log;
use crate::registry::Key;
use crate::session::{Grant, Input};
use crate::sync::write;
use crate::time::Instant;
use crate::wire::{Frame, Hello, Refusal};

impl Drive {
    /// Waits for the transport's own handshake, which may say hello already.
    pub(super) fn open(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let opened = self.live(|live| live.link.poll_open(cx));
        self.upgrade = ready!(opened.unwrap_or(Poll::Ready(None)));
        self.open = true;
        if let Some(reason) = self.turned_away {
            self.refuse(&Refuse::new(reason, Some(self.shared().return_after())));
            return Poll::Ready(());
        }
        let Some(upgrade) = &self.upgrade else {
            return Poll::Ready(());
        };
        let implied = self.live(|live| live.link.implied_hello(upgrade));
        if let Some(Input::Hello(hello)) = implied {
            self.hello(hello, now);
        }
        Poll::Ready(())
    }

    pub(super) fn hello(&mut self, hello: Hello<'_>, now: Instant) {
        self.live(|live| {
            let (protocol, framing) = (live.link.protocol(), live.link.framing());
            let class = self.shared().classes.find(protocol, framing).clone();
            self.connection.set_class(&class, live);
        });
        // Before the application is asked: it may take its time, and it may keep books.
        if let Some(refuse) = self.shared().has_no_place() {
            return self.refuse(&refuse);
        }
        let upgrade = self.upgrade.take();
        let token = hello.token.map(Bytes::copy_from_slice);
        let ask = Ask {
            connection: self.connection.id,
            token: token.or_else(|| upgrade.as_ref()?.token()),
            transport: self.connection.info.name,
            peer: self.connection.info.peer.clone(),
            upgrade,
        };
        match &self.hub.shared.on_connect {
            Some(hook) => self.admission = Some(hook(ask)),
            None => self.admit(Ok(Admission::anonymous()), now),
        }
    }

    /// Lets the application decide, if it has not yet.
    pub(super) fn decide(&mut self, now: Instant, cx: &mut Context<'_>) {
        let Some(admission) = &mut self.admission else {
            return;
        };
        let decision = match catch_unwind(AssertUnwindSafe(|| admission.as_mut().poll(cx))) {
            Ok(Poll::Pending) => return,
            Ok(Poll::Ready(decision)) => decision,
            Err(_) => Err(Refuse::unauthorized("")),
        };
        self.admission = None;
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
        match decision.and_then(|admission| self.enter(admission)) {
            Err(refuse) => self.refuse(&refuse),
            Ok(key) => {
                self.key = Some(key);
                self.shared().counters.connected();
                self.shared().settle();
                log::connected(&self.connection);
                self.live(|live| {
                    let max = live.link.session.peer().message_bytes_max;
                    live.store.lane.set_message_bytes_max(max);
                    if let Some(welcome) =
                        live.link
                            .session
                            .welcome(self.connection.id, Grant::default(), now)
                    {
                        live.link.send_first(&Frame::Welcome(welcome));
                    }
                });
            }
        }
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
        let Admission { user, groups } = admission;
        let shared = self.hub.shared.clone();
        let refuse = |reason| Refuse::new(reason, Some(shared.return_after()));
        if shared.is_stopping() {
            return Err(refuse(Refusal::Shutdown));
        }
        let mut registry = write(&shared.registry);
        if registry.len() >= shared.limits.connections_max as usize {
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
        joined
            .map(|()| key)
            .map_err(|_| Refuse::unauthorized("too many groups"))
    }
}
