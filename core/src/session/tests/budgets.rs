//! What a peer may do so often, and no oftener.

use super::*;

#[test]
fn a_flood_of_pings_pongs_or_empty_messages_ends_the_session() {
    let drops: [fn(&mut Side); 4] = [
        |hub| ignore(hub.hears(ping(1))),
        |hub| ignore(hub.hears(pong(1))),
        |hub| hub.session.handle_skipped(hub.now),
        |hub| hub.session.handle_alive(hub.now),
    ];
    for drop in drops {
        let mut hub = ready_hub();
        (0..400).for_each(|_| drop(&mut hub));
        for _ in 0..100 {
            hub.after(10 * MILLISECOND);
            drop(&mut hub);
        }
        assert!(hub.session.is_ready(), "a burst of 400, then 100/s");
        drop(&mut hub);
        assert_says(&mut hub, &[Frame::Close(because(CloseReason::Flood))]);
    }
}

#[test]
fn a_flood_of_confirmations_that_change_nothing_ends_the_session() {
    let mut before = ready_hub();
    (0..2).for_each(|_| before.pushes(EVENT));
    assert_says(&mut before, &[EVENT, EVENT]);
    let mut hub = ready_hub();
    // Both are to be sent again, and it may have them already.
    hub.session.count_on(&mut before.session);
    (0..400).for_each(|number| ignore(hub.hears(received(number % 3))));
    assert!(hub.session.is_ready());
    hub.hears(received(1));
    assert_says(&mut hub, &[Frame::Close(because(CloseReason::Flood))]);
}

#[test]
fn a_flood_before_the_hello_is_refused() {
    let mut hub = Side::hub();
    (0..400).for_each(|_| hub.session.handle_skipped(hub.now));
    assert!(!hub.session.is_ended());
    hub.session.handle_skipped(hub.now);
    assert_ends(&mut hub, Ending::Refused(Refusal::Malformed));
}

#[test]
fn requests_beyond_the_budget_pause_reading_until_it_refills() {
    let mut hub = ready_hub();
    for request in 0..400 {
        assert_eq!(hub.session.reading_resumes(hub.now), None, "{request}");
        assert!(matches!(hub.hears(SUBSCRIBE), Input::Subscribe(_)));
    }
    let resumes = hub.now + 10 * MILLISECOND;
    assert_eq!(hub.session.reading_resumes(hub.now), Some(resumes));
    assert_eq!(hub.session.reading_resumes(resumes), None);
    assert!(hub.session.is_ready(), "nobody is ended for it");
}

#[test]
fn publishing_uses_no_budget_of_requests() {
    let mut hub = ready_hub();
    (0..1_000).for_each(|_| ignore(hub.hears(PUBLISH)));
    assert_eq!(hub.session.reading_resumes(hub.now), None);
}
