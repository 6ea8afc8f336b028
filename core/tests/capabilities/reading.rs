//! Reading subscriptions.

use lapwing::client::{State, States};
use lapwing::{Delivery, Envelope, Subscription, Typed};

/// The next delivery, which is an event.
pub(crate) async fn event(subscription: &mut Subscription) -> Envelope {
    match subscription.next().await {
        Some(Delivery::Event(envelope)) => envelope,
        other => panic!("not an event: {other:?}"),
    }
}

/// The next delivery, which is a text.
pub(crate) async fn text(subscription: &mut Subscription) -> String {
    let envelope = event(subscription).await;
    envelope.text().expect("a text").into()
}

/// The next delivery, which is a number.
pub(crate) async fn number(subscription: &mut Subscription) -> u32 {
    number_in(&event(subscription).await)
}

/// The number that an event carries.
pub(crate) fn number_in(envelope: &Envelope) -> u32 {
    let Typed(number) = envelope.decode().expect("a number");
    number
}

/// The next state that is neither connecting nor online.
pub(crate) async fn trouble(states: &mut States) -> State {
    loop {
        match states.next().await.expect("not the end of the stream") {
            State::Connecting | State::Online { .. } => {}
            state => return state,
        }
    }
}
