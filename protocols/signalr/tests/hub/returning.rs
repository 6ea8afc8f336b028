//! A client that negotiated to return when it is lost: nothing is lost, nothing comes twice, and it happens again and again.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use lapwing::hub::{Admission, Ask, HubBuilder, Presence, Rule};
use lapwing::{Limits, Policy, Typed};
use lapwing_memory::Path;

use crate::page::Page;
use crate::ticket::{Guest, ack, sequence};
use crate::world::{World, check, check_with};

const FAULT: &str =
    r#"{"type":7,"error":"Connection closed with an error.","allowReconnect":true}"#;

fn event(number: u64) -> String {
    format!(r#"{{"type":1,"target":"n","arguments":[{number}]}}"#)
}

fn say(id: u64) -> String {
    format!(r#"{{"type":1,"invocationId":"{id}","target":"Add","arguments":[{id},0]}}"#)
}

fn said(id: u64) -> String {
    format!(r#"{{"type":3,"invocationId":"{id}","result":{id}}}"#)
}

/// Sends events with these numbers to everybody.
fn send_all(world: &World, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        world.hub.all().send("n", Typed(number)).expect("a topic");
    }
}

async fn hears_all(page: &mut Page, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        page.hears(&event(number)).await;
    }
}

/// Hears just this next, but for pings and what is confirmed.
async fn hears_at_last(page: &mut Page, record: &str) {
    loop {
        let next = page.next().await.expect("a record");
        let control = [r#"{"type":6"#, r#"{"type":8"#];
        if !control.iter().any(|kind| next.starts_with(kind)) {
            break assert_eq!(next, record);
        }
    }
}

fn limits(limits: Limits) -> impl Fn(HubBuilder) -> HubBuilder {
    move |builder| builder.limits(limits)
}

#[test]
fn each_side_hears_what_the_other_has() {
    check(async |world| {
        let guest = Guest::new("phone");
        let mut page = guest.come(world).await;
        assert!(guest.ticket.is_good());
        for id in 1..=3 {
            page.say(&say(id)).await;
            page.hears(&said(id)).await;
        }
        assert!(page.is_quiet().await);
        world.pass(Duration::from_secs(1)).await;
        page.hears(&ack(3)).await;
        world.pass(Duration::from_secs(5)).await;
        assert!(page.is_quiet().await, "there is nothing new");
        page.say(&ack(3)).await;
        // What asks for nothing has a number too, if it is of the kinds that have.
        for record in [
            r#"{"type":2,"invocationId":"7","item":1}"#,
            r#"{"type":3,"invocationId":"7"}"#,
            r#"{"type":5,"invocationId":"7"}"#,
            r#"{"type":6}"#,
            r#"{"type":99}"#,
        ] {
            page.say(record).await;
        }
        page.hears(&ack(6)).await;
        // More than was sent nobody can have.
        page.say(&ack(4)).await;
        page.ends(FAULT).await;
        assert!(guest.ticket.is_void());
    });
}

#[test]
fn a_full_buffer_waits_until_some_of_it_is_confirmed() {
    // A length of two bytes and a record, four times.
    let room = 4 * (4 + 1 + event(10).len() as u32) + 10;
    let small = Limits {
        resume_bytes_max: room,
        ..Limits::default()
    };
    check_with(limits(small), async |world| {
        let guest = Guest::new("phone");
        let mut page = guest.come(world).await;
        send_all(world, 10..20);
        for confirmed in 1..=6 {
            let first = match confirmed {
                1 => 10,
                _ => 12 + confirmed,
            };
            hears_all(&mut page, first..13 + confirmed).await;
            world.pass(Duration::from_secs(1)).await;
            assert!(page.is_quiet().await, "{confirmed}");
            page.say(&ack(confirmed)).await;
        }
        hears_all(&mut page, 19..20).await;
        page.say(&ack(10)).await;
        // What is larger than the buffer leaves alone.
        let large = "x".repeat(2 * room as usize);
        let sent = [large.as_str(), "small"];
        for text in sent {
            world.hub.all().send("n", text).expect("a topic");
        }
        for (number, text) in (11..).zip(sent) {
            page.hears(&format!(
                r#"{{"type":1,"target":"n","arguments":["{text}"]}}"#
            ))
            .await;
            world.pass(Duration::from_secs(1)).await;
            assert!(page.is_quiet().await);
            page.say(&ack(number)).await;
        }
        assert!(guest.ticket.is_good());
    });
}

#[test]
fn what_was_not_confirmed_is_said_again_on_both_sides_and_done_once() {
    check(async |world| {
        let guest = Guest::new("phone");
        let mut page = guest.come(world).await;
        send_all(world, 1..4);
        hears_all(&mut page, 1..4).await;
        page.say(&ack(1)).await;
        for id in 1..=2 {
            page.say(&say(id)).await;
        }
        // A half of a third.
        page.send(&say(3)[..20]).await;
        world.sim.settle().await;
        guest.lose(world).await;
        let connection = world.hub.connection(guest.id);
        assert_eq!(connection.presence(), Presence::Detached);
        send_all(world, 4..6);

        let mut page = guest.connect(world).await;
        // Whatever comes before it says where it goes on has no place in the order.
        page.say(&say(77)).await;
        page.say(&sequence(1)).await;
        for id in 1..=3 {
            page.say(&say(id)).await;
        }
        page.hears(&sequence(2)).await;
        hears_all(&mut page, 2..4).await;
        page.hears(&said(1)).await;
        page.hears(&said(2)).await;
        hears_all(&mut page, 4..6).await;
        page.hears(&said(3)).await;
        world.pass(Duration::from_secs(1)).await;
        page.hears(&ack(3)).await;
        assert_eq!(connection.presence(), Presence::Connected);
        page.say(&ack(8)).await;
        send_all(world, 6..7);
        hears_all(&mut page, 6..7).await;
        assert!(page.is_quiet().await);
    });
}

#[test]
fn what_is_said_again_is_confirmed_again() {
    check(async |world| {
        let guest = Guest::new("phone");
        let mut page = guest.come(world).await;
        page.say(&say(1)).await;
        page.hears(&said(1)).await;
        world.pass(Duration::from_secs(1)).await;
        page.hears(&ack(1)).await;
        guest.lose(world).await;
        let mut page = guest.come_back(world, 1, 1).await;
        page.hears(&said(1)).await;
        page.say(&say(1)).await;
        world.pass(Duration::from_secs(1)).await;
        page.hears(&ack(1)).await;
        assert!(page.is_quiet().await, "it was not done twice");
    });
}

#[test]
fn it_returns_again_and_again_wherever_it_was_cut_off() {
    check(async |world| {
        let guest = Guest::new("phone");
        let mut page = guest.come(world).await;
        let (mut heard, mut confirmed) = (0, 0);
        for round in 0..8 {
            let sent = 10 * (round + 1);
            send_all(world, sent - 9..=sent - 4);
            let more = round % 4;
            hears_all(&mut page, heard + 1..=heard + more).await;
            heard += more;
            if round % 3 == 1 {
                confirmed = heard;
                page.say(&ack(confirmed)).await;
                world.sim.settle().await;
            }
            // As soon as it has said that, or a moment later, and with its welcome lost.
            guest.lose(world).await;
            for _ in 0..round % 3 {
                drop(guest.connect(world).await);
            }
            send_all(world, sent - 3..=sent);
            page = guest.come_back(world, 1, confirmed + 1).await;
            hears_all(&mut page, confirmed + 1..=heard).await;
        }
        hears_all(&mut page, heard + 1..=80).await;
        assert!(page.is_quiet().await);
        assert_eq!(world.hub.counters().connections, 1);
    });
}

#[test]
fn what_it_had_heard_before_it_may_confirm_before_it_hears_it_again() {
    check(async |world| {
        let guest = Guest::new("phone");
        let mut page = guest.come(world).await;
        send_all(world, 1..6);
        hears_all(&mut page, 1..6).await;
        guest.lose(world).await;
        // Nothing that the hub says arrives for a while.
        world
            .network
            .delay(Path::to_client("phone"), Duration::from_secs(2));
        let mut page = guest.connect(world).await;
        page.say(&sequence(1)).await;
        page.say(&ack(5)).await;
        page.hears(&sequence(1)).await;
        hears_all(&mut page, 1..6).await;
        page.say(&ack(5)).await;
        world.pass(Duration::from_secs(5)).await;
        assert!(guest.ticket.is_good());
        guest.lose(world).await;
        guest.come_back(world, 1, 6).await;
    });
}

#[test]
fn a_number_that_cannot_be_ends_the_connection() {
    check(async |world| {
        for number in [0, 3] {
            let guest = Guest::new("phone");
            let mut page = guest.come(world).await;
            page.say(&say(1)).await;
            page.hears(&said(1)).await;
            guest.lose(world).await;
            let mut page = guest.connect(world).await;
            page.say(&sequence(number)).await;
            page.hears(&sequence(1)).await;
            let heard = page.next().await.expect("an answer");
            if heard == said(1) {
                page.ends(FAULT).await;
            } else {
                assert_eq!(heard, FAULT);
            }
            assert!(guest.ticket.is_void());
            drop(page);
            world.sim.settle().await;
            assert_eq!(world.hub.connections(), []);
        }
    });
}

#[test]
fn it_may_return_while_its_old_transport_is_half_open() {
    check(async |world| {
        let guest = Guest::new("phone");
        let old = guest.come(world).await;
        world.network.half_open("phone");
        send_all(world, 1..3);
        world.sim.settle().await;
        assert!(
            world.hub.connection(guest.id).is_connected(),
            "nobody knows"
        );
        let mut page = guest.come_back(world, 1, 1).await;
        hears_all(&mut page, 1..3).await;
        drop(old);
        // One that is whole goes too.
        let mut older = core::mem::replace(&mut page, guest.come_back(world, 1, 1).await);
        hears_all(&mut page, 1..3).await;
        while let Some(record) = older.next().await {
            assert!([event(1), event(2)].contains(&record), "{record}");
        }
        send_all(world, 3..4);
        hears_all(&mut page, 3..4).await;
        assert_eq!(world.hub.counters().connections, 1);
    });
}

#[test]
fn the_newest_of_its_transports_is_the_one() {
    check(async |world| {
        let guest = Guest::new("phone");
        guest.come(world).await;
        let (mut older, attached) = guest.knock(world).await;
        let mut page = guest.come_back(world, 1, 1).await;
        page.say(&say(1)).await;
        page.hears(&said(1)).await;
        // Only now the hub comes to an older one.
        world.sim.spawn_named("late", attached);
        older.say(&sequence(1)).await;
        older.ends(r#"{"error":"Handshake was canceled."}"#).await;
        send_all(world, 2..3);
        hears_all(&mut page, 2..3).await;
        assert!(guest.ticket.is_good());
    });
}

#[test]
fn the_newest_returns_although_an_older_one_was_heard_meanwhile() {
    let gate = Gate::default();
    let door = {
        let gate = gate.clone();
        move |ask: Ask| {
            let gate = gate.clone();
            async move {
                let upgrade = ask.upgrade.expect("an upgrade");
                if upgrade.parameter("access_token") == Some("slow") {
                    gate.opened().await;
                }
                Ok(Admission::anonymous())
            }
        }
    };
    check_with(
        |builder| builder.on_connect(door.clone()),
        async |world| {
            gate.shut();
            let mut guest = Guest::new("phone");
            guest.come(world).await;
            let (mut older, attached) = guest.knock(world).await;
            guest.token = "slow";
            // It comes last, and is asked about first.
            let mut newest = guest.connect(world).await;
            world.sim.settle().await;
            world.sim.spawn_named("older", attached);
            older.say(&sequence(1)).await;
            older.hears(&sequence(1)).await;
            older.say(&say(1)).await;
            older.hears(&said(1)).await;
            gate.open();
            newest.say(&sequence(1)).await;
            newest.say(&say(1)).await;
            newest.hears(&sequence(1)).await;
            newest.hears(&said(1)).await;
            newest.say(&say(2)).await;
            newest.hears(&said(2)).await;
            assert!(guest.ticket.is_good());
        },
    );
}

/// What somebody at the door waits for.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<(bool, Option<Waker>)>>);

impl Gate {
    fn shut(&self) {
        self.0.lock().expect("no panic").0 = false;
    }

    fn open(&self) {
        let mut state = self.0.lock().expect("no panic");
        state.0 = true;
        state.1.take().into_iter().for_each(Waker::wake);
    }

    async fn opened(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock().expect("no panic");
            state.1 = Some(cx.waker().clone());
            match state.0 {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}

#[test]
fn after_last_words_there_is_no_return() {
    check(async |world| {
        let guest = Guest::new("phone");
        let mut page = guest.come(world).await;
        page.say(r#"{"type":7}"#).await;
        page.hears(r#"{"type":7}"#).await;
        assert!(guest.ticket.is_void(), "it was said to it");

        let guest = Guest::new("tablet");
        let mut page = guest.come(world).await;
        page.say(r#"{"type":1,"target":"AbortMe","arguments":[]}"#)
            .await;
        page.hears(r#"{"type":7}"#).await;
        assert!(guest.ticket.is_void(), "it said so itself");
        drop(page);
        world.sim.settle().await;
        assert_eq!(world.hub.connections(), []);
        let mut late = guest.connect(world).await;
        late.say(&sequence(1)).await;
        late.ends(r#"{"error":"Handshake was canceled."}"#).await;
        // It does not begin anew under the old name either.
        let mut late = guest.connect(world).await;
        late.say(r#"{"protocol":"json","version":2}"#).await;
        late.ends(r#"{"error":"Handshake was canceled."}"#).await;
        assert_eq!(world.hub.connections(), []);
    });
}

#[test]
fn a_client_that_does_not_return_is_gone_once() {
    let short = Limits {
        resume: Some(Duration::from_secs(15)),
        ..Limits::default()
    };
    let gone = Arc::new(Mutex::new(Vec::new()));
    let noted = gone.clone();
    let build = move |builder: HubBuilder| {
        let noted = noted.clone();
        let note =
            move |gone: lapwing::hub::Gone| noted.lock().expect("no panic").push(gone.connection);
        builder.limits(short).on_disconnect(note)
    };
    check_with(build, async |world| {
        gone.lock().expect("no panic").clear();
        let guest = Guest::new("phone");
        let mut page = guest.come(world).await;
        for _ in 0..2 {
            guest.lose(world).await;
            world.pass(Duration::from_millis(14_999)).await;
            assert_eq!(world.hub.connections(), [guest.id]);
            page = guest.come_back(world, 1, 1).await;
        }
        drop(page);
        world.pass(Duration::from_millis(14_999)).await;
        assert!(guest.ticket.is_good() && gone.lock().expect("no panic").is_empty());
        world.pass(Duration::from_millis(1)).await;
        assert!(guest.ticket.is_void());
        assert_eq!(*gone.lock().expect("no panic"), [guest.id]);
        world.pass(Duration::from_secs(60)).await;
        assert_eq!(*gone.lock().expect("no panic"), [guest.id]);
    });
}

#[test]
fn too_much_for_a_client_that_is_away_ends_its_connection() {
    let small = Limits {
        resume_bytes_max: 200,
        ..Limits::default()
    };
    check_with(limits(small), async |world| {
        let guest = Guest::new("phone");
        guest.come(world).await;
        world.sim.settle().await;
        send_all(world, 0..3);
        world.sim.settle().await;
        assert!(guest.ticket.is_good());
        send_all(world, 3..20);
        world.sim.settle().await;
        assert!(guest.ticket.is_void());
        assert_eq!(world.hub.connections(), []);
    });
}

#[test]
fn a_client_that_never_confirms_is_ended_when_its_lane_is_full() {
    let small = Limits {
        resume_bytes_max: 200,
        lane_bytes_max: 1_000,
        ..Limits::default()
    };
    check_with(limits(small), async |world| {
        let guest = Guest::new("phone");
        let mut page = guest.come(world).await;
        send_all(world, 10..14);
        hears_all(&mut page, 10..14).await;
        send_all(world, 14..60);
        page.ends(FAULT).await;
        assert!(guest.ticket.is_void());
        world.sim.settle().await;
        assert_eq!(world.hub.connections(), []);
    });
}

#[test]
fn a_client_that_confirms_nothing_of_a_full_buffer_is_ended_in_time() {
    let small = Limits {
        resume_bytes_max: 200,
        ..Limits::default()
    };
    let build = |builder: HubBuilder| {
        builder
            .limits(small)
            .topic("rows", Rule::open().policy(Policy::DropOldest))
    };
    check_with(build, async |world| {
        let guest = Guest::new("phone");
        let mut page = guest.come(world).await;
        page.invokes("s", r#""target":"Subscribe","arguments":["rows"]"#, "")
            .await;
        page.say(&ack(1)).await;
        let row = |number: u64| {
            format!(
                r#"{{"type":1,"target":"rows","arguments":["{number}{}"]}}"#,
                "x".repeat(80)
            )
        };
        let publish = |number: u64| {
            let text = format!("{number}{}", "x".repeat(80));
            world.hub.publish("rows", text.as_str()).expect("a topic");
        };
        (0..3).for_each(publish);
        hears_at_last(&mut page, &row(0)).await;
        // Who confirms a little now and then has its time again.
        let almost = Limits::default().stall - Duration::from_millis(1);
        for number in 0..3 {
            world.pass(almost).await;
            page.say(r#"{"type":6}"#).await;
            page.say(&ack(2 + number)).await;
            publish(3 + number);
            hears_at_last(&mut page, &row(1 + number)).await;
        }
        world.pass(almost).await;
        page.say(r#"{"type":6}"#).await;
        world.sim.settle().await;
        assert!(guest.ticket.is_good());
        // Nobody waits for it any longer than that.
        let (began, deadline) = (world.sim.elapsed(), Duration::from_secs(60));
        let large = "x".repeat(Limits::default().lane_bytes_max as usize / 2);
        let published = world
            .hub
            .publish_within(deadline, "rows", large.as_str())
            .await;
        assert!(published.expect("a topic").is_nobody());
        assert_eq!(world.sim.elapsed() - began, Duration::from_millis(1));
        hears_at_last(&mut page, FAULT).await;
        assert!(guest.ticket.is_void());
        drop(page);
        world.sim.settle().await;
        assert_eq!(world.hub.connections(), []);
    });
}

#[test]
fn a_client_that_takes_nothing_may_return() {
    check(async |world| {
        let guest = Guest::new("phone");
        let page = guest.come(world).await;
        world.network.stall(Path::to_client("phone"));
        let large = "x".repeat(50_000);
        let event = format!(r#"{{"type":1,"target":"n","arguments":["{large}"]}}"#);
        for _ in 0..10 {
            world.hub.all().send("n", large.as_str()).expect("a topic");
        }
        world.pass(Limits::default().stall).await;
        let connection = world.hub.connection(guest.id);
        assert_eq!(connection.presence(), Presence::Detached);
        assert!(guest.ticket.is_good());
        drop(page);
        world.network.resume(Path::to_client("phone"));
        let mut page = guest.come_back(world, 1, 1).await;
        for number in 1..=10 {
            page.hears(&event).await;
            page.say(&ack(number)).await;
        }
    });
}

#[test]
fn nothing_that_is_counted_leaves_before_the_client_counts() {
    check(async |world| {
        // A moment is enough.
        let silent = Guest::new("silent");
        let mut page = silent.come_in(world, "json").await;
        send_all(world, 1..2);
        world.pass(Duration::from_millis(249)).await;
        assert!(page.is_quiet().await);
        world.pass(Duration::from_millis(1)).await;
        hears_all(&mut page, 1..2).await;
        // So is a word.
        let polite = Guest::new("polite");
        let mut page = polite.come_in(world, "json").await;
        send_all(world, 2..3);
        world.sim.settle().await;
        assert!(page.is_quiet().await);
        page.say(r#"{"type":6}"#).await;
        hears_all(&mut page, 2..3).await;
        // Who does not count does not wait.
        let mut page = world.page().await;
        send_all(world, 3..4);
        world.sim.settle().await;
        assert!(!page.is_quiet().await);
        // What was held back has numbers.
        polite.lose(world).await;
        let mut page = polite.come_back(world, 1, 1).await;
        hears_all(&mut page, 2..4).await;
    });
}

#[test]
fn a_call_goes_on_while_its_caller_is_away() {
    check(async |world| {
        let guest = Guest::new("phone");
        let mut page = guest.come(world).await;
        let ask = r#"{"type":1,"invocationId":"x","target":"Ask","arguments":["why?"]}"#;
        page.say(ask).await;
        let question = page.next().await.expect("a question");
        guest.lose(world).await;
        let mut page = guest.come_back(world, 1, 1).await;
        page.say(ask).await;
        page.hears(&question).await;
        let (_, rest) = question.split_once(r#""invocationId":""#).expect("an id");
        let (id, _) = rest.split_once('"').expect("its end");
        let answer = format!(r#"{{"type":3,"invocationId":"{id}","result":"so"}}"#);
        page.say(&answer).await;
        world.sim.settle().await;
        guest.lose(world).await;
        let mut page = guest.come_back(world, 1, 1).await;
        for record in [ask, &answer] {
            page.say(record).await;
        }
        page.hears(&question).await;
        page.hears(r#"{"type":3,"invocationId":"x","result":"so"}"#)
            .await;
        world.sim.settle().await;
        assert!(page.is_quiet().await);
        // Subscriptions and their names stay too.
        page.invokes("y", r#""target":"Subscribe","arguments":["news"]"#, "")
            .await;
        guest.lose(world).await;
        world.hub.publish("news", "here").expect("a topic");
        let mut page = guest.come_back(world, 4, 1).await;
        for _ in 0..3 {
            page.next().await.expect("what it knows");
        }
        page.hears(r#"{"type":1,"target":"news","arguments":["here"]}"#)
            .await;
        page.invokes("z", r#""target":"Unsubscribe","arguments":["news"]"#, "")
            .await;
    });
}

#[test]
fn binary_messages_have_the_same_numbers() {
    check(async |world| {
        let (json, binary) = (Guest::new("json"), Guest::new("binary"));
        let mut page = json.come(world).await;
        let mut other = binary.come_in(world, "messagepack").await;
        other.send_bytes(vec![2, 0x91, 6]).await;
        // One event for all, each in its form.
        let event = b"\x96\x01\x80\xc0\xa1n\x91\x07\x90";
        send_all(world, 7..8);
        hears_all(&mut page, 7..8).await;
        assert_eq!(other.next_bytes().await.as_deref(), Some(&event[..]));
        let call = b"\x0d\x96\x01\x80\xa1x\xa3Add\x92\x01\x02\x90";
        other.send_bytes(call.to_vec()).await;
        let answer = b"\x95\x03\x80\xa1x\x03\x03";
        assert_eq!(other.next_bytes().await.as_deref(), Some(&answer[..]));
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(other.next_bytes().await.as_deref(), Some(&[0x92, 8, 1][..]));
        binary.lose(world).await;
        let mut other = binary.connect(world).await;
        other.send_bytes(vec![3, 0x92, 9, 1]).await;
        other.send_bytes(call.to_vec()).await;
        assert_eq!(other.next_bytes().await.as_deref(), Some(&[0x92, 9, 1][..]));
        assert_eq!(other.next_bytes().await.as_deref(), Some(&event[..]));
        assert_eq!(other.next_bytes().await.as_deref(), Some(&answer[..]));
        other.send_bytes(vec![3, 0x92, 8, 2]).await;
        world.sim.settle().await;
        binary.lose(world).await;
        let mut other = binary.connect(world).await;
        other.send_bytes(vec![3, 0x92, 9, 2]).await;
        assert_eq!(other.next_bytes().await.as_deref(), Some(&[0x92, 9, 3][..]));
    });
}

#[test]
fn who_did_not_negotiate_it_does_not_count() {
    check(async |world| {
        let mut page = world.stranger();
        page.say(r#"{"protocol":"json","version":2}"#).await;
        page.hears("{}").await;
        plain(world, page).await;
        // Nor who does not speak of it in the handshake.
        let guest = Guest::new("phone");
        let mut page = guest.connect(world).await;
        page.say(r#"{"protocol":"json","version":1}"#).await;
        page.hears("{}").await;
        assert!(!guest.ticket.is_good());
        plain(world, page).await;
        guest.lose(world).await;
        assert!(guest.ticket.is_void());
    });
}

/// Nothing happens that has to do with counting.
async fn plain(world: &World, mut page: Page) {
    page.say(&ack(7)).await;
    page.say(&sequence(9)).await;
    page.say(&say(1)).await;
    page.hears(&said(1)).await;
    world.pass(Duration::from_secs(2)).await;
    assert!(page.is_quiet().await);
}

#[test]
fn only_its_own_user_returns_and_only_to_all_that_it_had() {
    let door = async |ask: Ask| {
        let upgrade = ask.upgrade.expect("an upgrade");
        let user = upgrade.parameter("access_token").unwrap_or("");
        let admission = Admission::user("ann");
        Ok(match (user, ask.resumes) {
            ("thief", _) => Admission::user("ben"),
            (_, None) => admission.join("staff"),
            ("demoted", _) => admission,
            _ => admission.join("staff"),
        })
    };
    check_with(
        |builder| builder.on_connect(door),
        async |world| {
            let mut guest = Guest::new("phone");
            guest.come(world).await;
            guest.token = "thief";
            let mut page = guest.connect(world).await;
            page.ends(r#"{"error":"Handshake was canceled."}"#).await;
            guest.token = "";
            let page = guest.come_back(world, 1, 1).await;
            assert!(guest.ticket.is_good());
            guest.token = "demoted";
            drop(page);
            let mut page = guest.connect(world).await;
            assert_eq!(page.next().await, None);
            world.sim.settle().await;
            assert!(guest.ticket.is_void());
            assert_eq!(world.hub.connections(), []);
        },
    );
}
