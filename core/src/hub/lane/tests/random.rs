//! Everything at random, against what must always hold.

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Offer {
        subscription: u32,
        topic: char,
        sizes: Vec<usize>,
        tight: bool,
    },
    Answer,
    Call,
    Send,
    Drain,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = prop_oneof![6 => 20..80_usize, 1 => 80..300_usize, 1 => 300..900_usize];
    let offer = (
        1..=8_u32,
        proptest::sample::select(&['a', 'b', 'c'][..]),
        proptest::collection::vec(size, 1..4),
        proptest::bool::weighted(0.1),
    )
        .prop_map(|(subscription, topic, sizes, tight)| Step::Offer {
            subscription,
            topic,
            sizes,
            tight,
        });
    let step = prop_oneof![
        20 => offer,
        1 => Just(Step::Answer),
        1 => Just(Step::Call),
        4 => Just(Step::Send),
        1 => Just(Step::Drain),
    ];
    proptest::collection::vec(step, 0..120)
}

pub(super) fn framings() -> impl Strategy<Value = Framing> {
    proptest::sample::select(&[Framing::None, Framing::LengthPrefix, Framing::WebSocket][..])
}

fn policy_of(subscription: u32) -> Policy {
    let policies = [
        Policy::Disconnect,
        Policy::DropOldest,
        Policy::DropNewest,
        Policy::KeepLatest,
    ];
    policies[subscription as usize % 4]
}

/// What the subscriber of one subscription should hear, kept as simply as possible.
#[derive(Default)]
struct Reader {
    /// All events that were offered, in order.
    offered: Vec<(String, u32)>,
    dropped: u64,
    received: u64,
    missed: u64,
    /// The newest number of each topic that was heard.
    newest: BTreeMap<String, u32>,
}

impl Reader {
    fn hear(&mut self, policy: Policy, topic: &str, number: u32) {
        if policy != Policy::KeepLatest {
            // What is missing before it is told before it, to the last event.
            let place = (self.received + self.missed) as usize;
            assert_eq!(self.offered[place], (topic.into(), number));
        }
        let older = self.newest.insert(topic.into(), number);
        assert!(older < Some(number), "{topic} goes back in time");
        self.received += 1;
    }
}

proptest! {
    #[test]
    fn every_loss_is_told_and_every_bound_is_kept(steps in steps(), framing in framings(), frames_max in 1..12_u32) {
        let mut bench = Bench::with_framing(framing, 500, frames_max);
        let mut readers: BTreeMap<u32, Reader> = BTreeMap::new();
        let mut owner_of = BTreeMap::new();
        let (mut answers, mut calls) = (0, 0);
        for step in steps.into_iter().chain([Step::Drain]) {
            let heard = match step {
                Step::Offer { subscription, topic, sizes, tight } => {
                    let policy = policy_of(subscription);
                    let first = bench.next + 1;
                    let taken = bench.offer_run((subscription, policy), topic, &sizes, tight);
                    let reader = readers.entry(subscription).or_default();
                    if taken.overflow.is_none() {
                        let numbers = first..first + sizes.len() as u32;
                        reader.offered.extend(numbers.clone().map(|number| (topic.into(), number)));
                        reader.dropped += u64::from(taken.dropped);
                        owner_of.extend(numbers.map(|number| (number, subscription)));
                    }
                    prop_assert!(taken.overflow.is_none() || (policy == Policy::Disconnect && taken.queued == 0));
                    Vec::new()
                }
                Step::Answer => { bench.answer(); answers += 1; Vec::new() }
                Step::Call => { calls += u32::from(bench.call()); Vec::new() }
                Step::Send => bench.send(),
                Step::Drain => bench.drain(),
            };
            bench.check();
            for heard in heard {
                match heard {
                    H::Answer => answers -= 1,
                    H::Call => calls -= 1,
                    H::Lagged(subscription, missed) => readers.entry(subscription).or_default().missed += missed,
                    H::Event(topic, number) => {
                        let subscription = owner_of[&number];
                        let reader = readers.entry(subscription).or_default();
                        reader.hear(policy_of(subscription), &topic, number);
                    }
                }
            }
        }
        prop_assert_eq!((answers, calls, bench.lane.bytes()), (0, 0, 0));
        for reader in readers.values() {
            prop_assert_eq!(reader.missed, reader.dropped);
            prop_assert_eq!(reader.received + reader.missed, reader.offered.len() as u64);
        }
        drop(bench.lane);
        prop_assert_eq!(bench.budget.used(), 0);
    }
}
