//! Streams frame by frame: what is welcome, what is not, and what is nobody's.

use futures_lite::stream::{self, StreamExt};
use lapwing::hub::{Caller, HubBuilder};
use lapwing::wire::{
    Cancel, CloseReason, Credit, End, Failure, FailureCode, Frame, Item, Open, Payload,
};
use lapwing::{CallFailure, Limits, Upload};

use crate::peer::{Peer, publish};
use crate::world::check_with;

fn methods(hub: HubBuilder) -> HubBuilder {
    let numbers = || stream::iter(0_u64..).map(|n| Ok(n.to_string()));
    hub.on_stream("endless", move |_: Caller, _: String| numbers())
        .on_stream("large", |_: Caller, _: String| {
            stream::repeat(()).map(|()| Ok("x".repeat(1_000)))
        })
        .on_stream("too large", |_: Caller, _: String| {
            stream::once(Ok("x".repeat(10_000)))
        })
        .on_stream("never", |_: Caller, _: String| {
            stream::pending::<Result<String, CallFailure>>()
        })
        .on_upload(
            "idle",
            async |_: Caller, _: String, items: Upload<String>| {
                std::future::pending::<()>().await;
                drop(items);
                Ok(())
            },
        )
        .on_upload(
            "first",
            async |_: Caller, _: String, mut items: Upload<String>| {
                items.next().await.unwrap_or(Ok(String::new()))
            },
        )
}

fn check(limits: Limits, test: impl AsyncFn(&crate::world::World)) {
    check_with(move |_, hub| methods(hub).limits(limits), test);
}

fn open(id: u32, method: &str, items: Option<u64>, streams: u32) -> Frame<'_> {
    Frame::Open(Open {
        id,
        method,
        deadline_ms: None,
        arguments: Payload::text("echo"),
        items,
        streams,
    })
}

fn item(id: u32) -> Frame<'static> {
    let payload = Payload::text("hi");
    Frame::Item(Item { id, payload })
}

async fn hears_items(peer: &mut Peer, id: u32, range: std::ops::Range<u64>) {
    for number in range {
        let heard = peer.hear().await;
        let (text, payload) = (number.to_string(), heard.frame());
        let payload_of = Payload::text(&text);
        let expected = Item {
            id,
            payload: payload_of,
        };
        assert_eq!(payload, Frame::Item(expected));
    }
}

/// The code with which a stream has ended.
async fn ended(peer: &mut Peer, id: u32) -> Option<FailureCode> {
    peer.until(|frame| match frame {
        Frame::End(End { id: of, result }) => {
            assert_eq!(of, id);
            Some(result.err().map(|Failure { code, .. }| code))
        }
        _ => None,
    })
    .await
}

#[test]
fn as_many_items_leave_as_are_welcome() {
    check(Limits::default(), async |world| {
        let mut peer = world.peer("peer").await;
        peer.say(&open(1, "endless", Some(2), 0)).await;
        hears_items(&mut peer, 1, 0..2).await;
        world.sim.settle().await;
        assert!(peer.is_quiet().await);
        for (items, range) in [(3, 2..3), (3, 3..3), (1, 3..3), (10, 3..10)] {
            peer.say(&Frame::Credit(Credit { id: 1, items })).await;
            hears_items(&mut peer, 1, range).await;
            world.sim.settle().await;
            assert!(peer.is_quiet().await);
        }
        peer.say(&Frame::Cancel(Cancel { id: 1 })).await;
        assert_eq!(ended(&mut peer, 1).await, None);
    });
}

#[test]
fn who_sends_more_than_is_welcome_is_ended_alone() {
    let limits = Limits {
        stream_items_max: 3,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut control = world.peer("control").await;
        let mut peer = world.peer("peer").await;
        peer.say(&open(1, "idle", None, 1)).await;
        let items = 3;
        let heard = peer.hear().await;
        assert_eq!(heard.frame(), Frame::Credit(Credit { id: 3, items }));
        for _ in 0..3 {
            peer.say(&item(3)).await;
        }
        world.sim.settle().await;
        assert!(peer.is_quiet().await);
        peer.say(&item(3)).await;
        assert_eq!(peer.close_reason().await, CloseReason::Unexpected);
        world.round_trip(&mut control).await;
    });
}

#[test]
fn what_is_nobodys_is_passed_over() {
    check(Limits::default(), async |world| {
        let mut peer = world.peer("peer").await;
        for id in [0, 1, 2, 77, u32::MAX] {
            for _ in 0..500 {
                peer.say(&item(id)).await;
            }
            let items = u64::MAX;
            peer.say(&Frame::Credit(Credit { id, items })).await;
            let result = Ok(());
            peer.say(&Frame::End(End { id, result })).await;
        }
        peer.say(&open(1, "first", None, 1)).await;
        peer.say(&item(3)).await;
        let (id, answer) = peer.answer().await;
        assert_eq!((id, answer), (1, Ok(b"hi".into())));
        // The rest of it is nobody's now.
        for _ in 0..100 {
            peer.say(&item(3)).await;
        }
        world.round_trip(&mut peer).await;
    });
}

#[test]
fn numbers_that_mean_something_else_are_refused() {
    check(Limits::default(), async |world| {
        let mut peer = world.peer("peer").await;
        peer.say(&open(1, "never", Some(1), 0)).await;
        peer.say(&open(11, "idle", None, 1)).await;
        for id in [2, 1, 13] {
            peer.say(&open(id, "endless", Some(1), 0)).await;
            assert_eq!(ended(&mut peer, id).await, Some(FailureCode::Failed));
        }
        for id in [4, 9, 11] {
            peer.say(&open(id, "first", None, 1)).await;
            let answer = peer.answer().await;
            assert_eq!(answer, (id, Err(FailureCode::Failed)));
        }
        for (method, items, streams) in [("never", Some(1), u32::MAX), ("idle", None, u32::MAX)] {
            peer.say(&open(5, method, items, streams)).await;
            let refused = peer
                .until(|frame| match frame {
                    Frame::End(end) => end.result.err().map(|failure| failure.code),
                    Frame::Reply(reply) => reply.result.err().map(|failure| failure.code),
                    _ => None,
                })
                .await;
            assert_eq!(refused, FailureCode::Failed);
        }
    });
}

#[test]
fn so_many_streams_run_and_the_next_is_busy() {
    let limits = Limits {
        streams_max: 3,
        ..Limits::default()
    };
    check(limits, async |world| {
        let mut peer = world.peer("peer").await;
        for id in [1, 3] {
            peer.say(&open(id, "never", Some(1), 0)).await;
        }
        peer.say(&open(5, "idle", None, 1)).await;
        peer.say(&open(9, "endless", Some(1), 0)).await;
        assert_eq!(ended(&mut peer, 9).await, Some(FailureCode::Busy));
        peer.say(&Frame::Cancel(Cancel { id: 1 })).await;
        assert_eq!(ended(&mut peer, 1).await, None);
        // One that is cancelled and no stream gets no answer.
        peer.say(&Frame::Cancel(Cancel { id: 5 })).await;
        peer.say(&open(9, "endless", Some(1), 0)).await;
        hears_items(&mut peer, 9, 0..1).await;
        peer.say(&open(11, "first", None, 1)).await;
        peer.say(&item(13)).await;
        assert_eq!(peer.answer().await.0, 11);
    });
}

#[test]
fn a_stream_that_is_not_taken_waits_and_nothing_else_does() {
    check(Limits::default(), async |world| {
        let mut control = world.peer("control").await;
        let mut peer = world.peer("peer").await;
        peer.say(&open(1, "large", Some(u64::MAX), 0)).await;
        world.sim.settle().await;
        let limits = Limits::default();
        let counters = world.hub.counters();
        assert!(counters.waiting_frames <= u64::from(limits.answers_waiting_max));
        world.round_trip(&mut control).await;
        // It goes on where it was.
        for _ in 0..1_000 {
            assert!(matches!(peer.hear().await.frame(), Frame::Item(_)));
        }
        peer.say(&Frame::Cancel(Cancel { id: 1 })).await;
        assert_eq!(ended(&mut peer, 1).await, None);
        peer.say(&publish("news", "hi")).await;
    });
}

#[test]
fn an_item_that_the_peer_does_not_take_ends_the_stream() {
    check(Limits::default(), async |world| {
        let mut peer = world.connect("peer").await;
        peer.welcome(lapwing::wire::Terms {
            message_bytes_max: 5_000,
            ..crate::peer::TERMS
        })
        .await;
        peer.say(&open(1, "too large", Some(1), 0)).await;
        assert_eq!(ended(&mut peer, 1).await, Some(FailureCode::Failed));
    });
}
