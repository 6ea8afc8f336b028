//! Agreeing on a version and on limits, or not.

use super::*;

#[test]
fn both_sides_know_the_terms_of_the_other() {
    let mut big = config(Role::Hub);
    big.terms.message_bytes_max = 1024 * 1024;
    let (mut client, mut hub) = (Side::new(config(Role::Client)), Side::new(big));
    let hello = client.session.hello(None, Wish::default(), client.now);
    hub.hears(Frame::Hello(hello));
    assert!(!hub.session.is_ready() && !client.session.is_ready());
    let welcome = hub
        .session
        .welcome(ID, Grant::default(), hub.now)
        .expect("in time");
    client.hears(Frame::Welcome(welcome));
    assert!(hub.session.is_ready() && client.session.is_ready());
    assert_eq!(client.session.peer(), &big.terms);
    assert_eq!(hub.session.peer(), &config(Role::Client).terms);
    assert_eq!(welcome.connection, ID);
}

#[test]
fn another_version_is_refused() {
    for (oldest, newest) in [(VERSION + 1, VERSION + 3), (0, VERSION - 1)] {
        let mut hub = Side::hub();
        let hello = Hello {
            oldest,
            newest,
            ..some_hello()
        };
        assert_eq!(hub.hears(Frame::Hello(hello)), Input::Nothing);
        let reason = Refusal::Version {
            oldest: VERSION,
            newest: VERSION,
        };
        assert_says(&mut hub, &[refused(reason, None)]);
        assert_ends(&mut hub, Ending::Refused(reason));
    }
}

#[test]
fn a_range_of_versions_that_has_ours_is_accepted() {
    let hello = Hello {
        oldest: 0,
        newest: u16::MAX,
        ..some_hello()
    };
    assert_eq!(Side::hub().hears(Frame::Hello(hello)), Input::Hello(hello));
}

#[test]
fn a_hello_too_late_is_refused() {
    let mut hub = Side::hub();
    hub.after(10 * SECOND - MILLISECOND);
    assert!(!hub.session.is_ended());
    hub.after(MILLISECOND);
    assert_eq!(hub.hears(Frame::Hello(some_hello())), Input::Nothing);
    assert_says(&mut hub, &[refused(Refusal::Late, Some(0))]);
    assert_ends(&mut hub, Ending::Refused(Refusal::Late));
}

#[test]
fn a_decision_too_late_is_none() {
    let mut hub = Side::hub();
    hub.hears(Frame::Hello(some_hello()));
    hub.after(10 * SECOND);
    assert_eq!(hub.session.welcome(ID, Grant::default(), hub.now), None);
    assert_says(&mut hub, &[refused(Refusal::Late, Some(0))]);
    assert_ends(&mut hub, Ending::Refused(Refusal::Late));
}

#[test]
fn a_hub_that_does_not_answer_is_silent() {
    let mut client = Side::client();
    client.after(10 * SECOND);
    let close = because(CloseReason::Silent);
    assert_says(&mut client, &[Frame::Close(close)]);
    assert_ends(&mut client, Ending::ByUs(close));
}

#[test]
fn whoever_does_not_begin_with_a_hello_is_refused() {
    for first in [
        PUBLISH,
        EVENT,
        ping(1),
        Frame::Close(DONE),
        Frame::Welcome(some_welcome()),
    ] {
        let mut hub = Side::hub();
        assert_eq!(hub.hears(first), Input::Nothing);
        assert_says(&mut hub, &[refused(Refusal::Malformed, None)]);
        assert_ends(&mut hub, Ending::Refused(Refusal::Malformed));
    }
}

#[test]
fn a_client_waits_for_the_answer_before_it_goes_on() {
    let mut hub = Side::hub();
    hub.hears(Frame::Hello(some_hello()));
    assert_eq!(hub.hears(PUBLISH), Input::Nothing);
    assert_eq!(hub.session.welcome(ID, Grant::default(), hub.now), None);
    assert_ends(&mut hub, Ending::Refused(Refusal::Malformed));
}

#[test]
fn a_promise_too_long_is_refused() {
    let mut hub = Side::hub();
    let mut hello = some_hello();
    hello.terms.promise_ms = 3_600_001;
    hub.hears(Frame::Hello(hello));
    let reason = Refusal::Promise { max_ms: 3_600_000 };
    assert_says(&mut hub, &[refused(reason, None)]);
    assert_ends(&mut hub, Ending::Refused(reason));
}

#[test]
fn a_welcome_of_another_version_or_with_a_promise_too_long_is_declined() {
    let mut other = some_welcome();
    other.version = VERSION + 1;
    let mut lazy = some_welcome();
    lazy.terms.promise_ms = 3_600_001;
    for welcome in [other, lazy] {
        let mut client = Side::client();
        assert_eq!(client.hears(Frame::Welcome(welcome)), Input::Nothing);
        let close = Close {
            reason: CloseReason::Unexpected,
            verdict: Return::Never,
        };
        assert_says(&mut client, &[Frame::Close(close)]);
        assert_ends(&mut client, Ending::ByUs(close));
    }
}

#[test]
fn a_refusal_of_the_application_reaches_the_client() {
    let (mut client, mut hub) = (Side::client(), Side::hub());
    hub.hears(Frame::Hello(some_hello()));
    let refused = hub
        .session
        .refuse(Refusal::Unauthorized, Some(SECOND), "no");
    assert_eq!(refused.retry_after_ms, Some(1_000));
    assert_says(&mut hub, &[]);
    assert_ends(&mut hub, Ending::Refused(Refusal::Unauthorized));
    assert_eq!(
        client.hears(Frame::Refused(refused)),
        Input::Refused(refused)
    );
    assert_says(&mut client, &[]);
    assert_ends(&mut client, Ending::Refused(Refusal::Unauthorized));
}

#[test]
fn a_hub_that_is_full_refuses_before_the_hello() {
    let mut hub = Side::hub();
    hub.session.refuse(Refusal::Full, None, "");
    assert_says(&mut hub, &[]);
    assert_ends(&mut hub, Ending::Refused(Refusal::Full));
}

#[test]
fn a_hub_that_closes_before_the_welcome_says_when_to_return() {
    let mut hub = Side::hub();
    let close = Close {
        reason: CloseReason::Shutdown,
        verdict: Return::After { ms: 500 },
    };
    hub.session.close(close, true, hub.now);
    assert_says(&mut hub, &[refused(Refusal::Shutdown, Some(500))]);
    assert_ends(&mut hub, Ending::Refused(Refusal::Shutdown));
}

#[test]
fn a_client_that_closes_before_the_welcome_says_so() {
    let (mut client, mut hub) = (Side::client(), Side::hub());
    hub.hears(Frame::Hello(some_hello()));
    client.session.close(DONE, true, client.now);
    talk(&mut client, &mut hub);
    assert_ends(&mut client, Ending::ByUs(DONE));
    assert_ends(&mut hub, Ending::ByPeer(DONE));
}

#[test]
fn a_client_that_closes_before_its_hello_says_nothing() {
    let mut client = Side::new(config(Role::Client));
    client.session.close(DONE, true, client.now);
    client.session.hello(None, Wish::default(), client.now);
    assert_says(&mut client, &[]);
    assert_ends(&mut client, Ending::ByUs(DONE));
}
