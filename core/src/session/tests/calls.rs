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

#[test]
fn each_side_has_numbers_of_its_own_and_one_for_each_stream() {
    for (mut side, first) in [(ready_client(), 1), (ready_hub(), 2)] {
        let (session, queues) = (&mut side.session, &mut side.store);
        let call = session
            .open(queues, None, (Answer::Reply, 2))
            .expect("a free slot");
        assert_eq!(call, first);
        let next = session.call(queues, None).expect("a free slot");
        assert_eq!(next, first + 6, "two streams are behind it");
        assert!(session.is_ours(next) && !session.is_ours(next + 1));
    }
}

fn item(id: u32) -> Item<'static> {
    let payload = Payload::text("first");
    Item { id, payload }
}

fn end(id: u32) -> End<'static> {
    let result = Ok(());
    End { id, result }
}

#[test]
fn an_answer_that_is_a_stream_has_time_once_it_has_begun() {
    let mut client = ready_client();
    let streams = (Answer::Stream, 0);
    let (session, queues) = (&mut client.session, &mut client.store);
    let until = Some(client.now + SECOND);
    let id = session.open(queues, until, streams).expect("a free slot");
    let item = item(id);
    assert_eq!(client.hears(Frame::Item(item)), Input::Item(item));
    client.after(SECOND);
    assert_eq!(client.tells(), None);
    assert_eq!(client.hears(reply(id)), Input::Nothing, "that is no answer");
    assert!(!client.store.calls[0].is_free());
    assert_eq!(client.hears(Frame::End(end(id))), Input::End(end(id)));
    assert!(client.store.calls[0].is_free());
}

#[test]
fn a_call_is_answered_by_what_it_asks_for() {
    let mut client = ready_client();
    let id = client.calls(Some(SECOND)).expect("a free slot");
    client.hears(Frame::Item(item(id)));
    client.hears(Frame::End(end(id)));
    assert!(!client.store.calls[0].is_free());
    client.after(SECOND);
    assert_eq!(client.tells(), Some(SessionEvent::CallTimedOut(id)));
    assert_says(&mut client, &[Frame::Cancel(Cancel { id })]);
}

#[test]
fn a_stream_that_takes_too_long_is_stopped_by_its_owner() {
    let mut client = ready_client();
    let (session, queues) = (&mut client.session, &mut client.store);
    let until = Some(client.now + SECOND);
    let id = session.open(queues, until, (Answer::Stream, 0));
    let id = id.expect("a free slot");
    client.after(SECOND);
    assert_eq!(client.tells(), Some(SessionEvent::CallTimedOut(id)));
    assert_says(&mut client, &[]);
    assert!(client.store.calls[0].is_free());
}

#[test]
fn a_call_is_forgotten_without_a_word() {
    let mut client = ready_client();
    let id = client.calls(None).expect("a free slot");
    client.session.forget(&mut client.store, id);
    assert_says(&mut client, &[]);
    assert!(client.store.calls[0].is_free());
}
