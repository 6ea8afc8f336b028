//! Calls that wait for an answer.

use super::*;

#[test]
fn a_call_gets_its_reply_and_frees_its_slot() {
    let mut client = ready_client();
    let first = client.calls(None).expect("a free slot");
    let second = client.calls(None).expect("a free slot");
    assert_ne!(first, second);
    assert!(matches!(client.hears(reply(second)), Input::Reply(Reply { id, .. }) if id == second));
    assert_eq!(
        client.hears(reply(second)),
        Input::Nothing,
        "it has one answer"
    );
    assert!(matches!(client.hears(reply(first)), Input::Reply(_)));
    assert!(client.store.calls.iter().all(CallSlot::is_free));
}

#[test]
fn too_many_calls_are_refused() {
    let mut client = ready_client();
    let first = client.calls(None).expect("a free slot");
    client.calls(None).expect("a free slot");
    assert_eq!(client.calls(None), Err(TooManyCalls));
    client.hears(reply(first));
    assert!(client.calls(None).is_ok());
}

#[test]
fn a_call_that_takes_too_long_is_told_and_cancelled() {
    let mut client = ready_client();
    let quick = client.calls(Some(2 * SECOND)).expect("a free slot");
    let slow = client.calls(Some(9 * SECOND)).expect("a free slot");
    client.after(2 * SECOND - MILLISECOND);
    assert_eq!(client.tells(), None);
    client.after(MILLISECOND);
    assert_eq!(client.tells(), Some(SessionEvent::CallTimedOut(quick)));
    assert_eq!(client.tells(), None);
    assert_eq!(client.hears(reply(quick)), Input::Nothing, "a late answer");
    assert_says(&mut client, &[Frame::Cancel(Cancel { id: quick })]);
    assert!(client.store.calls[0].is_free());
    assert!(matches!(client.hears(reply(slow)), Input::Reply(_)));
}

#[test]
fn a_cancelled_call_is_told_to_the_peer_and_nobody_else() {
    let mut client = ready_client();
    let id = client.calls(Some(SECOND)).expect("a free slot");
    client.session.cancel(&mut client.store, id);
    assert_eq!(client.hears(reply(id)), Input::Nothing);
    client.after(SECOND);
    assert_eq!(client.tells(), None);
    assert_says(&mut client, &[Frame::Cancel(Cancel { id })]);
    assert!(client.store.calls.iter().all(CallSlot::is_free));
}

#[test]
fn a_call_cancelled_when_its_time_is_over_is_cancelled_once() {
    let mut client = ready_client();
    let id = client.calls(Some(SECOND)).expect("a free slot");
    client.after(SECOND);
    client.session.cancel(&mut client.store, id);
    assert_eq!(client.tells(), None);
    assert_says(&mut client, &[Frame::Cancel(Cancel { id })]);
    assert!(client.store.calls.iter().all(CallSlot::is_free));
}

#[test]
fn both_sides_may_call() {
    let call = Call {
        id: 1,
        method: "add",
        deadline_ms: None,
        arguments: Payload::text(""),
    };
    for mut side in [ready_hub(), ready_client()] {
        assert_eq!(side.hears(Frame::Call(call)), Input::Call(call));
        let cancel = Cancel { id: 1 };
        assert_eq!(side.hears(Frame::Cancel(cancel)), Input::Cancel(cancel));
    }
}
