//! The beginning: the transport's own handshake, and which protocol is spoken.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::task::{Context, Poll, ready};

use super::Link;
use crate::protocol::{Conditions, Protocol};
use crate::session::{Input, Role, Wish};
use crate::transport::{Transport, Upgrade};

impl Link {
    /// Ready when messages may come, with what the peer asked for in the transport's own handshake; or when none will.
    pub(crate) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Option<Box<Upgrade>>> {
        if self.open || self.deaf {
            return Poll::Ready(None);
        }
        let mut upgrade = match ready!(self.transport.poll_open(cx)) {
            Ok(upgrade) => upgrade,
            Err(error) => {
                self.fail(&error);
                return Poll::Ready(None);
            }
        };
        self.open = true;
        if let Some(ticket) = upgrade.as_mut().and_then(|upgrade| upgrade.ticket.take()) {
            self.memory.set_ticket(ticket);
        }
        let named = upgrade.as_ref().and_then(|upgrade| {
            let name = upgrade.protocol.as_deref()?;
            let mut known = self.protocols().iter();
            known.position(|known| known.name() == name)
        });
        if self.chosen.is_none() {
            self.choose(named);
        }
        Poll::Ready(upgrade)
    }

    /// Takes note which protocol is spoken, if that is known.
    pub(super) fn choose(&mut self, index: Option<usize>) {
        self.chosen = index.map(|index| index as u8);
        self.converse();
    }

    /// Begins to remember what the protocol has to.
    pub(super) fn converse(&mut self) {
        if self.chosen.is_some() && self.peer() == Role::Client {
            let bytes_max = self.session.config().terms.message_bytes_max;
            let mut conditions = Conditions::new(bytes_max, self.protocols());
            conditions.text_only = self.text_only;
            let conversation = self.protocol().conversation(conditions);
            self.memory.set_conversation(conversation);
        }
    }

    /// The hello that the upgrade stands for, if it does.
    pub(crate) fn implied_hello<'a>(&mut self, upgrade: &Upgrade, wish: Wish<'a>) -> Input<'a> {
        if let Some(token) = self.token() {
            self.returned = true;
            return self.session.imply_hello(Wish {
                resumable: true,
                resume: Some((token, 0)),
                ..Wish::default()
            });
        }
        if upgrade.says_hello() {
            return Input::Nothing;
        }
        let implies = |protocol: &Arc<dyn Protocol>| protocol.implies_hello();
        let chosen = match self.chosen {
            Some(index) => Some(usize::from(index)).filter(|_| implies(self.protocol())),
            // Who names no protocol speaks one that needs no hello.
            None => self.protocols().iter().position(implies),
        };
        if chosen.is_none() {
            return Input::Nothing;
        }
        if self.chosen.is_none() {
            self.choose(chosen);
        }
        self.session.imply_hello(wish)
    }
}
