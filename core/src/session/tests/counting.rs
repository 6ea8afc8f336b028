//! Which frames count, and who is told.

use super::*;

#[test]
fn data_frames_count_when_they_are_handed_out() {
    let mut hub = ready_hub();
    hub.pushes(EVENT);
    hub.pushes(EVENT);
    hub.hears(ping(1));
    assert_eq!(hub.session.sent(), 0, "nothing has left yet");
    assert_says(&mut hub, &[pong(1), EVENT, EVENT]);
    assert_eq!(hub.session.sent(), 2, "a pong is control");
}

#[test]
fn data_frames_count_when_they_arrive_and_control_never() {
    let mut hub = ready_hub();
    hub.hears(PUBLISH);
    hub.hears(ping(1));
    hub.hears(Frame::Cancel(Cancel { id: 3 }));
    assert_eq!(hub.session.received(), 1);
}

#[test]
fn what_nobody_acts_on_does_not_count() {
    let mut hub = ready_hub();
    hub.hears(PUBLISH);
    let now = hub.now;
    hub.session.close(because(CloseReason::TooSlow), false, now);
    assert_eq!(hub.hears(PUBLISH), Input::Nothing);
    assert_eq!(
        hub.session.received(),
        1,
        "the client says it again when it returns"
    );
}

#[test]
fn what_has_arrived_is_told_after_a_second() {
    let mut client = counting_client();
    client.hears(EVENT);
    client.after(SECOND - MILLISECOND);
    assert_says(&mut client, &[]);
    client.hears(EVENT);
    client.after(MILLISECOND);
    assert_says(&mut client, &[received(2)]);
    client.after(2 * SECOND);
    assert_says(&mut client, &[]);
}

#[test]
fn a_client_tells_every_256_frames() {
    let mut client = counting_client();
    (0..255).for_each(|_| ignore(client.hears(EVENT)));
    assert_says(&mut client, &[]);
    client.hears(EVENT);
    assert_says(&mut client, &[received(256)]);
}

#[test]
fn large_frames_are_told_sooner() {
    let mut client = counting_client();
    client.session.handle_bytes(32 * 1024 - 1);
    client.hears(EVENT);
    assert_says(&mut client, &[]);
    client.session.handle_bytes(1);
    client.hears(EVENT);
    assert_says(&mut client, &[received(2)]);
    client.hears(EVENT);
    assert_says(&mut client, &[]);
}

#[test]
fn a_hub_tells_every_64_frames() {
    let mut hub = Side::hub();
    hub.hears(Frame::Hello(some_hello()));
    let resume_token = Some([9; 16]);
    let grant = Grant {
        resume_token,
        ..Grant::default()
    };
    hub.session.welcome(ID, grant, hub.now).expect("in time");
    (0..63).for_each(|_| ignore(hub.hears(PUBLISH)));
    assert_says(&mut hub, &[]);
    hub.hears(PUBLISH);
    assert_says(&mut hub, &[received(64)]);
}

#[test]
fn a_peer_cannot_take_back_what_it_has_confirmed() {
    let mut hub = ready_hub();
    (0..2).for_each(|_| hub.pushes(EVENT));
    assert_says(&mut hub, &[EVENT, EVENT]);
    hub.hears(received(2));
    hub.hears(received(1));
    assert_says(&mut hub, &[Frame::Close(because(CloseReason::Count))]);
}

#[test]
fn who_cannot_resume_is_not_told_what_has_arrived() {
    let mut client = ready_client();
    (0..200).for_each(|_| ignore(client.hears(EVENT)));
    client.after(2 * SECOND);
    assert_says(&mut client, &[]);
}

#[test]
fn a_peer_cannot_count_more_than_was_sent() {
    let mut hub = ready_hub();
    hub.pushes(EVENT);
    assert_says(&mut hub, &[EVENT]);
    hub.hears(received(1));
    assert!(hub.session.is_ready());
    hub.hears(received(2));
    assert_says(&mut hub, &[Frame::Close(because(CloseReason::Count))]);
}
