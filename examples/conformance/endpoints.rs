//! The endpoints: one hub on four paths, each with settings and clients of its own.

use std::time::Duration;

use lapwing::runtime::Smol;
use lapwing::transport::Upgrade;
use lapwing::{Hub, Limits, TopicError};
use lapwing_http::{Negotiation, Options, Server, Transports};

use crate::{test_hub, visitor};

pub(crate) struct Hubs {
    pub(crate) test: Hub,
    pub(crate) fast: Hub,
    pub(crate) without_websockets: Hub,
    pub(crate) auth: Hub,
}

pub(crate) fn open(smol: &Smol, server: &mut Server) -> Result<Hubs, TopicError> {
    let mut open = |path: &str, limits: Limits, options: Options| {
        let hub = Hub::builder(smol.clone())
            .protocol(lapwing_signalr::Json)
            .protocol(lapwing_signalr::MessagePack)
            .limits(limits);
        let hub = test_hub(hub, smol).build()?;
        smol.spawn(hub.serve(server.endpoint(path, options)));
        Ok::<_, TopicError>(hub)
    };
    let without = Transports::SERVER_SENT_EVENTS.and(Transports::LONG_POLLING);
    let fast = options().poll_within(Duration::from_secs(2));
    let checked =
        options().authenticate(async |asked| visitor::known(asked.token().as_deref()).is_some());
    let hubs = Hubs {
        test: open("/testhub", limits(), options().stateful_reconnect())?,
        fast: open("/fasthub", fast_limits(), fast)?,
        without_websockets: open("/nowebsockets", limits(), options().transports(without))?,
        auth: open("/authhub", limits(), checked.stateful_reconnect())?,
    };
    // Nobody comes in here, so no hub serves what is returned.
    server.endpoint("/redirect", Options::signalr().negotiate(redirect));
    server.endpoint("/refused", Options::signalr().negotiate(refuse));
    server.health("/health");
    Ok(hubs)
}

async fn redirect(request: Upgrade) -> Negotiation {
    match request.header("host") {
        Some(host) => Negotiation::Redirect {
            url: format!("http://{host}/authhub?redirected=1"),
            access_token: Some("token-alice".into()),
        },
        None => Negotiation::Refuse("where is this?".into()),
    }
}

async fn refuse(_: Upgrade) -> Negotiation {
    Negotiation::Refuse("This connection is not allowed.".into())
}

fn options() -> Options {
    Options::signalr()
        .origins(["http://allowed.test"])
        .same_port()
        .cookie("testCookie=testValue; Path=/")
}

fn limits() -> Limits {
    let promise = Duration::from_secs(15);
    let client_timeout = Duration::from_secs(30);
    Limits {
        handshake: Duration::from_secs(15),
        message_bytes_max: 32_768,
        promise,
        grace: client_timeout - promise,
        calls_running_max: 1,
        // The others wait in order, and are not refused.
        calls_waiting_max: 10_000,
        calls_waiting_bytes_max: 16 * 1024 * 1024,
        streams_max: 1_000,
        stream_items_max: 10,
        // Room for bursts: a page of a test may send thousands of messages at once.
        lane_bytes_max: 4 * 1024 * 1024,
        lane_frames_max: 16_384,
        resume: Some(Duration::from_secs(15)),
        resume_bytes_max: 100_000,
        ..Limits::default()
    }
}

fn fast_limits() -> Limits {
    let promise = Duration::from_secs(1);
    let client_timeout = Duration::from_secs(3);
    Limits {
        handshake: Duration::from_secs(2),
        promise,
        grace: client_timeout - promise,
        ..limits()
    }
}
