//! A hub that is killed and comes back is found again, and what that cost is told.

use crate::process::{EVERY_WAY, Hub, Program};

#[test]
fn subscriber_and_publisher_survive_a_hub_that_is_killed() {
    for over in EVERY_WAY {
        let first = Hub::start(&[]);
        let (url, tcp, ws) = (over(&first).to_owned(), first.tcp.clone(), first.ws.clone());
        let mut sub = Program::subscriber(&[&url, "a", "--count", "2"]);
        let mut publisher = Program::start(&["pub", &url, "a"]);
        publisher.feed(b"before\n");
        assert_eq!(sub.out.next().as_deref(), Some("a before"));
        drop(first);
        sub.err.find(|line| line.starts_with("closed: "));

        let _second = Hub::start_on(&tcp, &ws, &[]);
        // In either order: events and states reach the program on ways of their own.
        let is_news = |line: &str| line == "reconnected" || line == "gap unknown";
        assert_ne!(sub.err.find(is_news), sub.err.find(is_news));
        publisher.feed(b"after\n");
        assert_eq!(sub.ended().out, ["a after"]);
        let published = publisher.ended();
        assert_eq!(
            (published.code, published.err.len()),
            (Some(0), 0),
            "{published:?}"
        );
    }
}
