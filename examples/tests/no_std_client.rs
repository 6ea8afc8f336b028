//! The program in `examples/embedded`, which has neither std nor an allocator, meets a hub over TCP.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::time::Duration;

use lapwing::hub::{HubBuilder, Refuse, Rule};
use lapwing::runtime::{Runtime, Smol};
use lapwing::session::Ending;
use lapwing::wire::{self, Close, CloseReason, Frame, Refusal, Refused, Return};
use lapwing::{Hub, Limits};

const HELLO: &str = "hello from a client without an allocator";

/// What the hub hears of a client that has nothing more to do.
const POLITE: Ending = Ending::ByPeer(Close {
    reason: CloseReason::Done,
    verdict: Return::Now,
});

#[test]
fn it_hears_itself_and_goes_politely() {
    let (tell, events) = channel();
    let builder = |hub: HubBuilder| {
        let listener = move |_, topic, text: String| {
            let _ = tell.send((topic, text));
            async {}
        };
        hub.topic("demo/**", Rule::open())
            .on_event("demo/*", listener)
    };
    assert_eq!(meets(builder, async |_, _| {}), (0, vec![POLITE]));
    let published = ("demo/hello".into(), HELLO.into());
    assert_eq!(events.try_iter().collect::<Vec<_>>(), [published]);
}

#[test]
fn it_answers_pings_while_it_waits() {
    let limits = Limits {
        promise: Duration::from_millis(20),
        ..Limits::default()
    };
    // It may not publish, so it waits for an event.
    let builder = |hub: HubBuilder| {
        hub.limits(limits)
            .topic("demo/**", Rule::closed().subscribe())
    };
    let after_three_pongs = async |smol: &Smol, hub: &Hub| {
        // Behind a hello, a subscribe and a publish.
        until(smol, || hub.counters().frames_in >= 6).await;
        hub.publish("demo/hello", HELLO).expect("a good topic");
    };
    assert_eq!(meets(builder, after_three_pongs), (0, vec![POLITE]));
}

#[test]
fn it_tells_by_its_exit_code_what_the_hub_does_not_allow() {
    let unauthorized = |hub: HubBuilder| hub.on_connect(async |_| Err(Refuse::unauthorized("")));
    assert_eq!(meets(unauthorized, async |_, _| {}), (6, vec![]));
    let (code, endings) = meets(|hub| hub, async |_, _| {});
    assert_eq!((code, endings.len()), (7, 1), "it may not subscribe");
}

#[test]
fn each_surprise_has_an_exit_code() {
    let refused = |reason| {
        message(&Frame::Refused(Refused {
            reason,
            retry_after_ms: None,
            message: "",
        }))
    };
    let surprises = [
        (vec![0xff; 4], 3, "a message that is too large"),
        (refused(Refusal::Full), 5, "a hub that is full"),
        (vec![], 9, "nothing at all"),
        (vec![0, 0, 0, 1, 0x7f], 9, "no frame"),
    ];
    for (bytes, code, surprise) in surprises {
        let mut client = start(Stdio::piped(), Stdio::piped());
        let mut pipe = client.stdin.take().expect("a pipe");
        pipe.write_all(&bytes).expect("the program reads");
        drop(pipe);
        assert_eq!(exit_code(client), code, "{surprise}");
    }
}

/// Lets the program meet a hub, with `meanwhile` beside it: how it ended, and what the hub heard of its end.
fn meets(
    set_up: impl FnOnce(HubBuilder) -> HubBuilder,
    meanwhile: impl AsyncFnOnce(&Smol, &Hub),
) -> (i32, Vec<Ending>) {
    let smol = Smol::new();
    let (tell, endings) = channel();
    let hub = set_up(Hub::builder(smol.clone()))
        .on_disconnect(move |gone| {
            let _ = tell.send(gone.ending);
        })
        .build()
        .expect("good filters");
    let code = smol.block_on(async {
        let listener = lapwing_tcp::smol::listen("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr();
        smol.spawn(hub.serve(listener));

        let socket = TcpStream::connect(address).expect("the hub listens");
        let input = OwnedFd::from(socket.try_clone().expect("a socket"));
        let mut client = start(input.into(), OwnedFd::from(socket).into());
        meanwhile(&smol, &hub).await;
        until(&smol, || client.try_wait().expect("a child").is_some()).await;
        until(&smol, || hub.connections().is_empty()).await;
        exit_code(client)
    });
    (code, endings.try_iter().collect())
}

async fn until(smol: &Smol, mut condition: impl FnMut() -> bool) {
    let mut timer = smol.timer();
    while !condition() {
        timer.arm(smol.now() + Duration::from_millis(1));
        poll_fn(|cx| timer.poll_fired(cx)).await;
    }
}

/// Builds the program, once, as its own workspace: here lapwing would have its std.
fn start(input: Stdio, output: Stdio) -> Child {
    static BUILT: OnceLock<()> = OnceLock::new();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedded");
    BUILT.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--manifest-path"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/embedded/Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .status();
        assert!(built.expect("cargo runs").success(), "it does not build");
    });
    Command::new(target.join("debug/lapwing-embedded"))
        .stdin(input)
        .stdout(output)
        .spawn()
        .expect("the program starts")
}

/// Reads what the program still says, so that it never waits for us.
fn exit_code(mut client: Child) -> i32 {
    if let Some(mut rest) = client.stdout.take() {
        let _ = rest.read_to_end(&mut Vec::new());
    }
    let status = client.wait().expect("the program ends");
    status.code().expect("no signal ended it")
}

fn message(frame: &Frame<'_>) -> Vec<u8> {
    let mut buffer = [0; 256];
    let length = wire::encode(frame, &mut buffer).expect("room for a small frame");
    [&(length as u32).to_be_bytes(), &buffer[..length]].concat()
}
