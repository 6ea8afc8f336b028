//! Pings, pongs and promises.

use super::*;

#[test]
fn a_ping_is_sent_after_silence() {
    let mut hub = ready_hub();
    hub.after(PROMISE - MILLISECOND);
    assert_says(&mut hub, &[]);
    hub.after(MILLISECOND);
    assert_says(&mut hub, &[ping(1)]);
}

#[test]
fn traffic_postpones_the_ping() {
    let mut hub = ready_hub();
    hub.after(PROMISE - SECOND);
    hub.pushes(EVENT);
    assert_says(&mut hub, &[EVENT]);
    hub.hears(PUBLISH);
    hub.after(PROMISE - MILLISECOND);
    assert_says(&mut hub, &[]);
    hub.after(MILLISECOND);
    assert_says(&mut hub, &[ping(1)]);
}

#[test]
fn a_pong_keeps_the_promise_as_well_as_a_ping() {
    let mut hub = ready_hub();
    hub.after(PROMISE);
    hub.hears(ping(5));
    assert_says(&mut hub, &[pong(5)]);
}

#[test]
fn only_the_newest_unsent_ping_is_answered() {
    let mut hub = ready_hub();
    for nonce in 1..=3 {
        hub.hears(ping(nonce));
    }
    assert_says(&mut hub, &[pong(3)]);
}

#[test]
fn an_answered_ping_tells_the_round_trip() {
    let mut hub = ready_hub();
    hub.after(PROMISE);
    assert_says(&mut hub, &[ping(1)]);
    hub.after(30 * MILLISECOND);
    assert_eq!(hub.hears(pong(0)), Input::Nothing, "not our newest ping");
    assert_eq!(hub.hears(pong(1)), Input::Pong(30 * MILLISECOND));
    assert_eq!(hub.session.round_trip(), Some(30 * MILLISECOND));
    assert_eq!(hub.hears(pong(1)), Input::Nothing, "answered already");
}

#[test]
fn a_peer_is_dead_after_its_promise_and_our_grace() {
    let mut hub = ready_hub();
    hub.after(PROMISE + GRACE - MILLISECOND);
    assert!(hub.session.is_ready());
    assert_says(&mut hub, &[ping(1)]);
    hub.after(MILLISECOND);
    let close = because(CloseReason::Silent);
    assert_says(&mut hub, &[Frame::Close(close)]);
    assert_ends(&mut hub, Ending::ByUs(close));
}

#[test]
fn the_promise_of_the_peer_counts_not_ours() {
    let mut hub = Side::hub();
    let mut hello = some_hello();
    hello.terms.promise_ms = 600_000;
    hub.hears(Frame::Hello(hello));
    hub.session.welcome(ID, Grant::default(), hub.now);
    hub.after(600 * SECOND + GRACE - MILLISECOND);
    assert!(hub.session.is_ready());
    hub.after(MILLISECOND);
    assert!(hub.session.is_ended());
}

#[test]
fn any_message_counts_as_life() {
    let signs: [fn(&mut Side); 5] = [
        |hub| assert_eq!(hub.hears(ping(1)), Input::Nothing),
        |hub| assert_eq!(hub.hears(PUBLISH), publish_input()),
        |hub| assert_eq!(hub.hears(received(0)), Input::Nothing),
        |hub| hub.session.handle_alive(hub.now),
        |hub| hub.session.handle_skipped(hub.now),
    ];
    for sign in signs {
        let mut hub = ready_hub();
        hub.after(PROMISE + GRACE - MILLISECOND);
        sign(&mut hub);
        hub.after(PROMISE + GRACE - MILLISECOND);
        assert!(hub.session.is_ready());
    }
}

#[test]
fn two_idle_sides_keep_each_other_alive() {
    let (mut client, mut hub) = met();
    for _ in 0..200 {
        client.after(5 * SECOND);
        hub.after(5 * SECOND);
        talk(&mut client, &mut hub);
    }
    assert!(client.session.is_ready() && hub.session.is_ready());
}

#[test]
fn what_is_due_and_cannot_leave_wakes_nobody_up() {
    let mut client = counting_client();
    client.hears(EVENT);
    client.hears(ping(1));
    client.after(PROMISE);
    // The transport takes nothing: the next thing to do is to give up.
    let dead = client.now - PROMISE + PROMISE + GRACE;
    assert_eq!(client.session.poll_timeout(), Some(dead));
}

/// A hub whose client has said hello by an upgrade, and promises nothing.
fn hub_that_asks() -> Side {
    let mut hub = Side::hub();
    let input = hub.session.imply_hello(Wish::default());
    assert!(matches!(input, Input::Hello(hello) if !hello.terms.promises()));
    hub.session.welcome(ID, Grant::default(), hub.now);
    hub
}

#[test]
fn a_peer_that_promises_nothing_is_asked_and_lives_as_long_as_it_answers() {
    let mut hub = hub_that_asks();
    for nonce in 1..=100 {
        hub.after(SECOND);
        hub.session.handle_alive(hub.now);
        hub.after(PROMISE - SECOND - MILLISECOND);
        assert_says(&mut hub, &[]);
        hub.after(MILLISECOND);
        assert_says(&mut hub, &[ping(nonce)]);
    }
    assert!(hub.session.is_ready());
}

#[test]
fn a_peer_that_promises_nothing_is_dead_when_it_does_not_answer() {
    let mut hub = hub_that_asks();
    hub.after(PROMISE);
    assert_says(&mut hub, &[ping(1)]);
    // Asked once: what it is sent meanwhile is no question.
    hub.pushes(EVENT);
    assert_says(&mut hub, &[EVENT]);
    hub.after(GRACE - MILLISECOND);
    assert_says(&mut hub, &[]);
    assert!(hub.session.is_ready());
    hub.after(MILLISECOND);
    assert_ends(&mut hub, Ending::ByUs(because(CloseReason::Silent)));
}

#[test]
fn who_speaks_by_itself_is_asked_all_the_same() {
    let mut hub = hub_that_asks();
    for nonce in 1..=10 {
        hub.after(PROMISE - SECOND);
        hub.hears(PUBLISH);
        assert_says(&mut hub, &[]);
        hub.after(SECOND);
        assert_says(&mut hub, &[ping(nonce)]);
    }
}

#[test]
fn a_hello_is_implied_once_and_by_clients_only() {
    let mut hub = hub_that_asks();
    assert_eq!(hub.session.imply_hello(Wish::default()), Input::Nothing);
    assert_eq!(
        Side::client().session.imply_hello(Wish::default()),
        Input::Nothing
    );
}

#[test]
fn a_goodbye_from_below_is_a_polite_end_without_an_answer() {
    let mut hub = ready_hub();
    hub.session.handle_goodbye();
    assert!(hub.session.has_parted());
    assert_says(&mut hub, &[]);
    assert_ends(&mut hub, Ending::ByPeer(DONE));
}
