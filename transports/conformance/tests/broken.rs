//! The suite finds what is wrong: transports with one fault each, and the rule that names it.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use async_trait::async_trait;
use bytes::BytesMut;
use futures_lite::future::yield_now;
use lapwing::Limits;
use lapwing::transport::{
    Connector, Framing, Incoming, Info, Kind, Listener, Messages, Outgoing, Progress, Transport,
    TransportError,
};
use lapwing_conformance::Suite;
use lapwing_memory::{Network, Virtual};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    LosesEmptyMessages,
    SwapsTwoMessages,
    LosesOneOfMany,
    HidesEmptyMessages,
    CallsBinaryText,
    TakesEverything,
    HidesWhatIsUnsent,
    SaysTheEndOnce,
    ForgetsToEnd,
    StopsWhenThePeerHasFinished,
    IgnoresItsLimits,
    ReadsOnAfterARefusal,
    EndsAfterARefusal,
    StopsAfterARefusal,
    HasOneWakerForAll,
    LosesPeersOfADroppedAccept,
}

const FOUND_BY: [(Fault, &str); 17] = [
    (Fault::None, "memory keeps 19 rules, 3 do not concern it"),
    (Fault::LosesEmptyMessages, "\"message boundaries\""),
    (Fault::SwapsTwoMessages, "\"order in both directions\""),
    (Fault::LosesOneOfMany, "\"many at once\""),
    (Fault::HidesEmptyMessages, "\"many at once\""),
    (Fault::CallsBinaryText, "\"kinds of messages\""),
    (Fault::TakesEverything, "\"back-pressure\""),
    (Fault::HidesWhatIsUnsent, "\"back-pressure\""),
    (Fault::SaysTheEndOnce, "\"half-close\""),
    (Fault::ForgetsToEnd, "\"half-close\""),
    (Fault::StopsWhenThePeerHasFinished, "\"half-close\""),
    (Fault::IgnoresItsLimits, "\"too large a message\""),
    (Fault::ReadsOnAfterARefusal, "\"too large a message\""),
    (Fault::EndsAfterARefusal, "\"too large a message\""),
    (Fault::StopsAfterARefusal, "\"too large a message\""),
    (Fault::HasOneWakerForAll, "\"wake-ups of a reader\""),
    (Fault::LosesPeersOfADroppedAccept, "\"a cancelled accept\""),
];

#[test]
fn each_fault_is_found_by_the_rule_that_names_it() {
    for (fault, rule) in FOUND_BY {
        let verdict = verdict(fault);
        assert!(verdict.contains(rule), "{fault:?}: {verdict}");
    }
}

/// What the suite says of a memory transport with this fault.
fn verdict(fault: Fault) -> String {
    let sim = Virtual::new(7);
    let runtime = sim.runtime();
    let network = Network::new(&runtime);
    let listener = Faulty {
        inner: network.listen("hub").expect("the name is free"),
        fault,
    };
    let connector = Faulty {
        inner: network.connector("hub"),
        fault,
    };
    let check = Suite::new(&runtime, listener, connector).check();
    match catch_unwind(AssertUnwindSafe(|| sim.run(check))) {
        Ok(Ok(report)) => report.to_string(),
        Ok(Err(stuck)) => stuck.to_string(),
        Err(panic) => *panic.downcast().expect("the suite panics with a text"),
    }
}

/// What makes faulty transports.
struct Faulty<T> {
    inner: T,
    fault: Fault,
}

#[async_trait]
impl<L: Listener> Listener for Faulty<L> {
    async fn accept(&mut self) -> io::Result<Box<dyn Transport>> {
        let inner = self.inner.accept().await?;
        if self.fault == Fault::LosesPeersOfADroppedAccept {
            yield_now().await;
        }
        Ok(Box::new(FaultyTransport::new(inner, self.fault)))
    }

    fn url(&self) -> String {
        self.inner.url()
    }
}

#[async_trait]
impl<C: Connector> Connector for Faulty<C> {
    async fn connect(&mut self) -> io::Result<Box<dyn Transport>> {
        let inner = self.inner.connect().await?;
        Ok(Box::new(FaultyTransport::new(inner, self.fault)))
    }

    fn url(&self) -> String {
        self.inner.url()
    }
}

struct FaultyTransport {
    inner: Box<dyn Transport>,
    fault: Fault,
    received: u32,
    held: Option<Incoming>,
    ended: bool,
    refused: bool,
    hoard: VecDeque<Outgoing>,
    waker: Arc<OneWaker>,
}

impl FaultyTransport {
    fn new(inner: Box<dyn Transport>, fault: Fault) -> Self {
        Self {
            inner,
            fault,
            received: 0,
            held: None,
            ended: false,
            refused: false,
            hoard: VecDeque::new(),
            waker: Arc::default(),
        }
    }

    /// The caller's waker, or one that forgets all callers but the last.
    fn waker(&self, cx: &Context<'_>) -> Waker {
        if self.fault != Fault::HasOneWakerForAll {
            return cx.waker().clone();
        }
        self.waker.set(cx.waker());
        Waker::from(self.waker.clone())
    }

    fn spoil(&mut self, incoming: Incoming) -> Option<Incoming> {
        let Incoming::Message(mut message) = incoming else {
            return Some(incoming);
        };
        self.received += 1;
        match self.fault {
            Fault::LosesEmptyMessages if message.bytes.is_empty() => return None,
            Fault::CallsBinaryText => message.kind = Kind::Text,
            Fault::SwapsTwoMessages if self.received == 5_000 => {
                self.held = Some(Incoming::Message(message));
                return None;
            }
            _ => {}
        }
        Some(Incoming::Message(message))
    }

    fn poll_unhoard(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        while !self.hoard.is_empty() {
            ready!(self.inner.poll_ready(cx))?;
            self.hoard
                .pop_front()
                .map_or(Ok(()), |next| self.inner.start_send(next))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Transport for FaultyTransport {
    fn apply(&mut self, limits: &Limits) {
        if self.fault != Fault::IgnoresItsLimits {
            self.inner.apply(limits);
        }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Incoming, TransportError>> {
        if self.ended && self.fault == Fault::SaysTheEndOnce {
            return Poll::Pending;
        }
        match self.fault {
            Fault::ReadsOnAfterARefusal if self.refused => {
                return Poll::Ready(Ok(Incoming::Alive));
            }
            Fault::EndsAfterARefusal if self.refused => return Poll::Ready(Ok(Incoming::End)),
            Fault::StopsAfterARefusal if self.refused => return Poll::Pending,
            _ => {}
        }
        if self.received > 5_000
            && let Some(held) = self.held.take()
        {
            return Poll::Ready(Ok(held));
        }
        let waker = self.waker(cx);
        loop {
            let received = ready!(self.inner.poll_recv(&mut Context::from_waker(&waker)));
            self.refused |= received.is_err();
            let incoming = received?;
            self.ended |= incoming == Incoming::End;
            if let Some(incoming) = self.spoil(incoming) {
                return Poll::Ready(Ok(incoming));
            }
        }
    }

    fn recv_more(&mut self) -> Messages {
        let fault = [Fault::LosesOneOfMany, Fault::HidesEmptyMessages].contains(&self.fault);
        let cx = &mut Context::from_waker(Waker::noop());
        if fault
            && let Poll::Ready(Ok(Incoming::Message(next))) = self.poll_recv(cx)
            && self.fault == Fault::HidesEmptyMessages
        {
            let mut framed = BytesMut::new();
            Framing::LengthPrefix.append(next.kind, &mut framed, |into| {
                into.extend_from_slice(&next.bytes);
            });
            return Messages::new(framed, next.kind);
        }
        Messages::default()
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        if self.ended && self.fault == Fault::StopsWhenThePeerHasFinished {
            return Poll::Ready(Err(TransportError::Stalled));
        }
        if self.fault == Fault::TakesEverything {
            return Poll::Ready(Ok(()));
        }
        let waker = self.waker(cx);
        self.inner.poll_ready(&mut Context::from_waker(&waker))
    }

    fn start_send(&mut self, outgoing: Outgoing) -> Result<(), TransportError> {
        if self.fault == Fault::TakesEverything {
            self.hoard.push_back(outgoing);
            return Ok(());
        }
        self.inner.start_send(outgoing)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let waker = self.waker(cx);
        let cx = &mut Context::from_waker(&waker);
        ready!(self.poll_unhoard(cx))?;
        self.inner.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        ready!(self.poll_flush(cx))?;
        if self.fault == Fault::ForgetsToEnd {
            return Poll::Ready(Ok(()));
        }
        self.inner.poll_close(cx)
    }

    fn info(&self) -> Info {
        self.inner.info()
    }

    fn progress(&self) -> Progress {
        let progress = self.inner.progress();
        Progress {
            unsent: progress.unsent && self.fault != Fault::HidesWhatIsUnsent,
            ..progress
        }
    }
}

#[derive(Default)]
struct OneWaker(Mutex<Option<Waker>>);

impl OneWaker {
    fn set(&self, waker: &Waker) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }
}

impl Wake for OneWaker {
    fn wake(self: Arc<Self>) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
