//! A subscriber begins in the past, and goes on where an earlier one has ended.

use crate::process::{EVERY_WAY, Hub, Program, publish};
use crate::proxy::Proxy;

/// What follows a word on a line.
fn after(line: &str, word: &str) -> String {
    line.strip_prefix(word).expect(line).into()
}

#[test]
fn what_was_published_before_is_printed_first() {
    for over in EVERY_WAY {
        let hub = Hub::start(&["--history", "kept"]);
        let url = over(&hub);
        for text in ["one", "two"] {
            publish(url, "kept", text, &[]);
        }
        let sub = ["sub", url, "kept", "--from", "beginning", "--count", "2"];
        let first = Program::run(&sub, b"");
        assert_eq!(first.out, ["kept one", "kept two"]);
        let position = after(first.err.last().expect("a line"), "position ");
        assert!(first.err.contains(&"replayed 1 2".into()), "{first:?}");

        publish(url, "kept", "three", &[]);
        let sub = ["sub", url, "kept", "--from", &position, "--json"];
        let mut second = Program::start(&[&sub[..], &["--count", "2"]].concat());
        second.err.find(|line| line == "live");
        publish(url, "kept", "four", &[]);
        let out = second.ended().out;
        assert!(out[0].contains(r#""offset":3,"text":"three""#), "{out:?}");
        assert!(out[1].contains(r#""offset":4,"text":"four""#), "{out:?}");

        let sub = ["sub", url, "plain", "--from", "beginning"];
        let refused = Program::run(&sub, b"");
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.concat().contains("keeps no history"));
    }
}

#[test]
fn a_subscriber_that_does_not_resume_begins_anew() {
    for over in EVERY_WAY {
        let hub = Hub::start(&[]);
        let proxy = Proxy::to(over(&hub));
        let mut sub = Program::subscriber(&[&proxy.url, "a", "--no-resume", "--count", "1"]);
        proxy.break_off();
        sub.err.find(|line| line.starts_with("closed: "));
        proxy.mend();
        sub.err.find(|line| line == "gap unknown");
        publish(over(&hub), "a", "x", &[]);
        let ended = sub.ended();
        assert_eq!(ended.out, ["a x"]);
        assert_eq!(
            ended.err.last().map(|line| &**line),
            Some("total 1+: received 1, lagged 0, gap 0+")
        );
    }
}
