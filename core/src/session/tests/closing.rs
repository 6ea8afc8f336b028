//! Last words, and what comes after them: nothing.

use super::*;

#[test]
fn a_close_flushes_first_when_asked_to() {
    let (mut client, mut hub) = met();
    hub.pushes(EVENT);
    hub.session.close(DONE, true, hub.now);
    assert!(hub.session.is_closing() && !hub.session.is_ended());
    hub.hears(ping(1));
    assert_says(&mut hub, &[pong(1), EVENT, Frame::Close(DONE)]);
    client.hears(EVENT);
    client.hears(Frame::Close(DONE));
    talk(&mut client, &mut hub);
    assert_ends(&mut hub, Ending::ByUs(DONE));
    assert_ends(&mut client, Ending::ByPeer(DONE));
}

#[test]
fn a_close_at_once_leaves_the_lane_behind() {
    let mut hub = ready_hub();
    hub.pushes(EVENT);
    hub.session.close(DONE, false, hub.now);
    assert_says(&mut hub, &[Frame::Close(DONE)]);
}

#[test]
fn a_close_at_once_overtakes_one_that_flushes() {
    let mut hub = ready_hub();
    hub.pushes(EVENT);
    hub.session.close(DONE, true, hub.now);
    let kicked = because(CloseReason::Kicked);
    hub.session.close(kicked, false, hub.now);
    assert_says(&mut hub, &[Frame::Close(kicked)]);
    hub.session.close(DONE, false, hub.now);
    assert_says(&mut hub, &[]);
    hub.session.handle_end();
    assert_ends(&mut hub, Ending::ByUs(kicked));
}

#[test]
fn a_close_is_answered_and_what_waits_for_the_peer_is_void() {
    let mut client = ready_client();
    client.pushes(PUBLISH);
    let shutdown = because(CloseReason::Shutdown);
    assert_eq!(client.hears(Frame::Close(shutdown)), Input::Close(shutdown));
    assert_says(&mut client, &[Frame::Close(DONE)]);
    assert_ends(&mut client, Ending::ByPeer(shutdown));
}

#[test]
fn both_sides_may_close_at_the_same_time() {
    let (mut client, mut hub) = met();
    let shutdown = because(CloseReason::Shutdown);
    client.session.close(DONE, false, client.now);
    hub.session.close(shutdown, false, hub.now);
    talk(&mut client, &mut hub);
    assert_ends(&mut client, Ending::ByUs(DONE));
    assert_ends(&mut hub, Ending::ByUs(shutdown));
}

#[test]
fn a_close_that_was_decided_is_said_even_when_the_peer_was_quicker() {
    for flush in [false, true] {
        let mut hub = ready_hub();
        let kicked = because(CloseReason::Kicked);
        hub.pushes(EVENT);
        hub.session.close(kicked, flush, hub.now);
        let silent = because(CloseReason::Silent);
        assert_eq!(hub.hears(Frame::Close(silent)), Input::Close(silent));
        assert_says(&mut hub, &[Frame::Close(kicked)]);
        assert_ends(&mut hub, Ending::ByUs(kicked));
    }
}

#[test]
fn a_close_without_an_answer_ends_by_its_deadline() {
    let mut hub = ready_hub();
    hub.session.close(DONE, true, hub.now);
    assert_says(&mut hub, &[Frame::Close(DONE)]);
    hub.after(5 * SECOND - MILLISECOND);
    assert!(!hub.session.is_ended());
    hub.hears(PUBLISH);
    hub.after(MILLISECOND);
    assert_says(&mut hub, &[]);
    assert_ends(&mut hub, Ending::ByUs(DONE));
}

#[test]
fn a_close_that_cannot_leave_ends_by_the_same_deadline() {
    let mut hub = ready_hub();
    hub.pushes(EVENT);
    hub.session.close(DONE, true, hub.now);
    hub.after(4 * SECOND);
    hub.session.close(DONE, false, hub.now);
    hub.after(SECOND);
    assert_ends(&mut hub, Ending::ByUs(DONE));
}

#[test]
fn a_lost_connection_is_told_and_hears_nothing_more() {
    let mut hub = ready_hub();
    hub.pushes(EVENT);
    hub.session.handle_end();
    assert_says(&mut hub, &[]);
    assert_ends(&mut hub, Ending::Lost);
    hub.session.handle_end();
    assert_eq!(hub.tells(), None);
}

#[test]
fn a_peer_that_was_given_up_gets_last_words_only() {
    let mut hub = ready_hub();
    hub.pushes(EVENT);
    hub.session.give_up(CloseReason::Stalled);
    let stalled = because(CloseReason::Stalled);
    assert_ends(&mut hub, Ending::ByUs(stalled));
    assert_says(&mut hub, &[Frame::Close(stalled)]);
}

#[test]
fn the_first_reason_to_end_is_the_one_that_counts() {
    let mut hub = ready_hub();
    hub.session.close(DONE, false, hub.now);
    hub.session.violate(CloseReason::Malformed, hub.now);
    hub.session.give_up(CloseReason::Stalled);
    hub.session.handle_end();
    assert_ends(&mut hub, Ending::ByUs(DONE));
    assert_says(&mut hub, &[Frame::Close(DONE)]);
}

#[test]
fn a_fault_during_a_flush_changes_no_reason() {
    let mut hub = ready_hub();
    let kicked = because(CloseReason::Kicked);
    hub.pushes(EVENT);
    hub.session.close(kicked, true, hub.now);
    hub.session.violate(CloseReason::Malformed, hub.now);
    assert_says(&mut hub, &[Frame::Close(kicked)]);
    hub.session.handle_end();
    assert_ends(&mut hub, Ending::ByUs(kicked));
}

#[test]
fn nothing_happens_after_last_words() {
    let mut hub = ready_hub();
    let id = hub.calls(Some(SECOND)).expect("a free slot");
    hub.session.close(DONE, false, hub.now);
    assert_says(&mut hub, &[Frame::Close(DONE)]);
    for frame in [PUBLISH, SUBSCRIBE, ping(1), reply(id), received(99)] {
        assert_eq!(hub.hears(frame), Input::Nothing);
    }
    hub.hears(Frame::Close(DONE));
    assert_ends(&mut hub, Ending::ByUs(DONE));
    for frame in [PUBLISH, ping(1), Frame::Close(DONE)] {
        assert_eq!(hub.hears(frame), Input::Nothing);
    }
    hub.pushes(EVENT);
    hub.after(100 * SECOND);
    assert_says(&mut hub, &[]);
    assert_eq!(hub.tells(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_order_of_inputs_breaks_a_session(bytes in vec(any::<u8>(), 0..600)) {
        script::run(&bytes);
    }
}
