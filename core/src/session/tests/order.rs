//! Frames that a peer may not send, or not now.

use super::*;

#[test]
fn a_frame_of_the_wrong_role_ends_the_session() {
    let ack = Frame::Ack(Ack {
        receipt: 1,
        outcome: Outcome::Subscribed,
    });
    let lagged = Frame::Lagged(Lagged {
        subscription: 1,
        missed: 1,
    });
    let unsubscribe = Frame::Unsubscribe(Unsubscribe {
        receipt: 1,
        first: 1,
        count: 1,
    });
    let of_hubs = [EVENT, ack, lagged, Frame::Welcome(some_welcome())];
    let of_clients = [PUBLISH, SUBSCRIBE, unsubscribe, Frame::Hello(some_hello())];
    let wrong = of_hubs
        .map(|frame| (ready_hub(), frame))
        .into_iter()
        .chain(of_clients.map(|frame| (ready_client(), frame)));
    for (mut side, frame) in wrong {
        assert_eq!(side.hears(frame), Input::Nothing, "{frame:?}");
        assert_says(&mut side, &[Frame::Close(because(CloseReason::Unexpected))]);
    }
}

#[test]
fn a_second_handshake_ends_the_session() {
    let again = [
        (ready_hub(), Frame::Hello(some_hello())),
        (ready_client(), Frame::Welcome(some_welcome())),
        (ready_client(), refused(Refusal::Full, None)),
    ];
    for (mut side, frame) in again {
        assert_eq!(side.hears(frame), Input::Nothing);
        assert_says(&mut side, &[Frame::Close(because(CloseReason::Unexpected))]);
    }
}

#[test]
fn what_is_not_a_frame_ends_the_session() {
    let mut hub = ready_hub();
    hub.session.violate(CloseReason::Malformed, hub.now);
    assert_says(&mut hub, &[Frame::Close(because(CloseReason::Malformed))]);
    hub.session.handle_end();
    assert_ends(&mut hub, Ending::ByUs(because(CloseReason::Malformed)));
}
