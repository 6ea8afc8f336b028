//! A peer that is lost and returns, at random: it hears everything once and in order, or the lane knows that it cannot.

use super::*;

const RING_BYTES: u32 = 400;

#[derive(Clone, Debug)]
enum Step {
    Offer(u32, Vec<usize>),
    Answer,
    /// The lane hands out what is next.
    Send,
    /// So many frames of those on their way arrive.
    Arrive(usize),
    Confirm,
    /// The connection breaks, and what is on its way is lost.
    Return,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let offer = (1..=4_u32, proptest::collection::vec(20..90_usize, 1..4));
    let step = prop_oneof![
        6 => offer.prop_map(|(subscription, sizes)| Step::Offer(subscription, sizes)),
        1 => Just(Step::Answer),
        6 => Just(Step::Send),
        6 => (1..5_usize).prop_map(Step::Arrive),
        2 => Just(Step::Confirm),
        2 => Just(Step::Return),
    ];
    proptest::collection::vec(step, 0..150)
}

/// What a peer has of a lane, and what is on its way.
#[derive(Default)]
struct Peer {
    on_its_way: VecDeque<Heard>,
    /// Since it came by its present transport.
    received: u64,
    heard: Vec<Heard>,
}

impl Peer {
    fn arrive(&mut self, frames: usize) {
        let arrived = frames.min(self.on_its_way.len());
        self.received += arrived as u64;
        self.heard.extend(self.on_its_way.drain(..arrived));
    }

    fn lose(&mut self) {
        self.on_its_way.clear();
    }
}

/// Plays the steps; what a peer heard that was lost and returned, and what one hears that never was.
fn play(steps: &[Step], framing: Framing, ring_bytes: u32, returns: bool) -> Option<Vec<Heard>> {
    let mut bench = Bench::with_framing(framing, 10_000, 1_000);
    bench.lane.keep_sent(ring_bytes);
    let mut peer = Peer::default();
    for step in steps {
        match step {
            Step::Offer(subscription, sizes) => {
                let to = (*subscription, Policy::Disconnect);
                bench.offer_run(to, 'a', sizes, false);
            }
            Step::Answer => bench.answer(),
            Step::Send => peer.on_its_way.extend(bench.send()),
            Step::Arrive(frames) => peer.arrive(*frames),
            Step::Confirm => bench.lane.acknowledged(peer.received),
            Step::Return if returns => {
                peer.lose();
                if !bench.lane.rewind(peer.received) {
                    return None;
                }
                peer.received = 0;
            }
            Step::Return => {}
        }
        bench.check();
    }
    peer.on_its_way.extend(bench.drain());
    peer.arrive(usize::MAX);
    bench.lane.acknowledged(peer.received);
    assert!(bench.lane.rewind(peer.received), "there is nothing to send");
    drop(bench.lane);
    assert_eq!(bench.budget.used(), 0);
    Some(peer.heard)
}

proptest! {
    #[test]
    fn who_returns_hears_what_others_hear(steps in steps(), framing in super::random::framings()) {
        let without = play(&steps, framing, u32::MAX, false);
        prop_assert_eq!(play(&steps, framing, u32::MAX, true), without.clone());
        // It may have forgotten too much; but then it says so.
        if let Some(heard) = play(&steps, framing, RING_BYTES, true) {
            prop_assert_eq!(Some(heard), without);
        }
    }
}

/// The same for a peer whose counts go on, of which nothing is forgotten: what it heard.
fn play_on(steps: &[Step], framing: Framing, ring_bytes: u32) -> Vec<Heard> {
    // What waits again has the lane's bounds.
    let mut bench = Bench::with_framing(framing, 1_000_000, 10_000);
    bench.lane.keep_all_sent(ring_bytes);
    let (mut peer, mut confirmed) = (Peer::default(), 0);
    let largest = 100;
    for step in steps {
        match step {
            Step::Offer(subscription, sizes) => {
                let to = (*subscription, Policy::Disconnect);
                bench.offer_run(to, 'a', sizes, false);
            }
            Step::Answer => bench.answer(),
            Step::Send => peer.on_its_way.extend(bench.send()),
            Step::Arrive(frames) => peer.arrive(*frames),
            Step::Confirm => {
                confirmed = peer.received;
                bench.lane.acknowledged(confirmed);
            }
            Step::Return => {
                peer.lose();
                assert!(bench.lane.rewind(confirmed), "nothing is forgotten");
                // It hears again what it has not confirmed.
                peer.heard.truncate(confirmed as usize);
                peer.received = confirmed;
            }
        }
        assert!(bench.lane.ring_bytes() <= ring_bytes.max(largest) as usize);
        bench.check();
    }
    while bench.lane.frames() > 0 || !peer.on_its_way.is_empty() {
        peer.on_its_way.extend(bench.drain());
        peer.arrive(usize::MAX);
        bench.lane.acknowledged(peer.received);
    }
    let numbers = peer.heard.iter().filter_map(|heard| match heard {
        Heard::Event(_, number) => Some(*number),
        _ => None,
    });
    assert!(numbers.eq(1..=bench.next), "everything, once and in order");
    peer.heard
}

proptest! {
    #[test]
    fn who_counts_on_hears_what_others_hear(steps in steps(), framing in super::random::framings()) {
        let without = play_on(&steps, framing, u32::MAX);
        for ring_bytes in [1, RING_BYTES] {
            prop_assert_eq!(play_on(&steps, framing, ring_bytes), without.clone());
        }
    }
}

#[test]
fn what_has_no_room_waits_until_some_is_confirmed() {
    let mut bench = Bench::new(10_000, 1_000);
    bench.lane.keep_all_sent(RING_BYTES);
    bench.offer_run(FIXED, 'a', &[100; 10], false);
    let first = bench.drain().len() as u64;
    assert!((3..=4).contains(&first), "{first}");
    assert_eq!(bench.drain(), []);
    bench.lane.acknowledged(1);
    assert_eq!(
        bench.drain(),
        [event("a", first as u32 + 1)],
        "room for one"
    );
    assert!(!bench.lane.rewind(0), "that is confirmed");
    assert!(bench.lane.rewind(2));
    assert_eq!(bench.drain().first(), Some(&event("a", 3)));
}

#[test]
fn what_was_sent_is_bounded_and_the_oldest_goes() {
    let mut bench = Bench::new(10_000, 1_000);
    bench.lane.keep_sent(RING_BYTES);
    for _ in 0..10 {
        bench.offer(FIXED, 'a', 100);
        bench.drain();
    }
    assert!(bench.budget.used() <= u64::from(RING_BYTES));
    assert!(!bench.lane.rewind(5), "that is forgotten");
    assert!(!bench.lane.rewind(11), "that was never sent");
    assert!(bench.lane.rewind(6));
    assert_eq!(
        bench.drain(),
        [7, 8, 9, 10].map(|number| event("a", number))
    );
}

#[test]
fn what_is_torn_sends_nothing_until_it_begins_anew() {
    let mut bench = Bench::new(10_000, 1_000);
    bench.lane.keep_sent(RING_BYTES);
    bench.offer(FIXED, 'a', 100);
    bench.drain();
    bench.offer(FIXED, 'a', 100);
    bench.lane.tear();
    assert_eq!(bench.offer(FIXED, 'a', 100).dropped, 1);
    assert!(!bench.call(), "nobody would hear it");
    bench.answer();
    assert_eq!(bench.drain(), []);
    assert!(!bench.lane.rewind(1));
    bench.lane.come_back(Framing::LengthPrefix, false);
    bench.offer(FIXED, 'a', 100);
    assert_eq!(bench.drain(), [event("a", 4)]);
    assert!(bench.lane.rewind(0));
    assert_eq!(bench.drain(), [event("a", 4)]);
}
