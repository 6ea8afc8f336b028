//! A print shop: customers hand in jobs, a printer works on them and says how far it is.
//!
//! One application for every runtime and every transport: it names none. `smol_service` and `tokio_service` link it.

use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering};

use lapwing::client::{CallError, ClientEnd, PublishError, SubscribeError};
use lapwing::hub::{Admission, Ask, Caller, Peer, Refuse, Rule};
use lapwing::runtime::Runtime;
use lapwing::transport::Connector;
use lapwing::wire::{Denied, Refusal};
use lapwing::{CallFailure, Client, Delivery, Hub, Policy, TopicError, Typed};
use serde::{Deserialize, Serialize};

/// Something to print.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Job {
    /// Where its progress is published.
    topic: String,
    pages: u32,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    pages_left: u32,
}

/// The hub of the shop.
///
/// # Errors
///
/// None: the filters are good ones.
pub fn hub(runtime: impl Runtime) -> Result<Hub, TopicError> {
    let numbers = AtomicU32::new(1);
    // A customer on a slow line sees the newest state of each job.
    let progress = Rule::closed()
        .publish_if(|peer, _topic| name(peer) == "printer")
        .subscribe_if(|peer, filter| filter.starts_with(&format!("jobs/{}/", name(peer))))
        .policy(Policy::KeepLatest);
    Hub::builder(runtime)
        .on_connect(async |ask| admit(&ask))
        .topic("jobs/*/*", progress)
        .on_call("print", move |caller, Typed(pages)| {
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            async move { print(&caller, number, pages) }
        })
        .build()
}

/// Tokens are looked up here; a real shop has them in its database, and may await it.
fn admit(ask: &Ask) -> Result<Admission, Refuse> {
    match ask.token.as_deref() {
        Some(b"token of the printer") => Ok(Admission::user("printer").join("printers")),
        Some(b"token of ann") => Ok(Admission::user("ann")),
        _ => Err(Refuse::unauthorized("this token is unknown")),
    }
}

fn name(peer: Peer<'_>) -> &str {
    peer.user.map_or("nobody", |user| user.as_str())
}

/// Gives a job to the printer, and its topic to the caller.
fn print(caller: &Caller, number: u32, pages: u32) -> Result<String, CallFailure> {
    let user = caller.user().ok_or("the caller has gone")?;
    let topic = format!("jobs/{}/{number}", user.as_str());
    let job = Job {
        topic: topic.clone(),
        pages,
    };
    let sent = caller.hub().group("printers").send("work", Typed(job))?;
    match sent.queued {
        0 => Err("the printer is out of order".into()),
        _ => Ok(topic),
    }
}

/// The printer: a client that hears of work and publishes its progress.
fn printer(runtime: impl Runtime, connector: impl Connector + 'static) -> Client {
    let printer = Client::builder(runtime, connector)
        .token("token of the printer")
        .spawned();
    let press = printer.clone();
    let work = move |delivery| {
        let Delivery::Event(event) = delivery else {
            return;
        };
        let Ok(Typed(Job { topic, pages })) = event.decode() else {
            return;
        };
        for pages_left in (0..pages).rev() {
            let progress = press.publish(&*topic, Typed(Progress { pages_left }));
            progress.expect("a printer has nothing else to say");
        }
    };
    printer.on("work", work).expect("a good filter");
    printer
}

/// One day in the shop, over whatever `connect` connects: asserts what it shows, and returns the clients that stay.
///
/// # Errors
///
/// Whatever goes wrong between a client and its hub.
pub async fn day<C: Connector + 'static>(
    runtime: impl Runtime + Clone,
    connect: impl Fn() -> C,
) -> Result<[Client; 2], Box<dyn Error>> {
    let stranger = Client::builder(runtime.clone(), connect()).spawned();
    let Err(ClientEnd::Refused { reason, message }) = stranger.online().await else {
        return Err("a stranger came in".into());
    };
    assert_eq!(reason, Refusal::Unauthorized);
    println!("a stranger is refused: {message}");

    let printer = printer(runtime.clone(), connect());
    let ann = Client::builder(runtime, connect())
        .token("token of ann")
        .spawned();
    printer.online().await?;
    let mut jobs = ann.subscribe("jobs/ann/*").await?;
    let topic: String = ann.call("print", Typed(3_u32)).await?;
    let (mut heard, mut missed) = (0, 0);
    loop {
        match jobs.next().await.ok_or("the subscription ended")? {
            Delivery::Event(event) => {
                let Typed(Progress { pages_left }) = event.decode()?;
                heard += 1;
                if pages_left == 0 {
                    break;
                }
            }
            Delivery::Lagged(pages) => missed += pages,
            other => return Err(format!("a broken connection: {other:?}").into()),
        }
    }
    assert_eq!(heard + missed, 3);
    println!("{topic} is printed, all 3 pages are accounted for");

    let spying = ann.subscribe("jobs/ben/*").await.err();
    assert_eq!(spying, Some(SubscribeError::Denied(Denied::Forbidden)));
    let cheating = ann.publish_acked(&*topic, Typed(Progress { pages_left: 9 }));
    let denied = Err(PublishError::Denied(Denied::Forbidden));
    assert_eq!(cheating.await, denied);
    let unknown = ann.call::<()>("copy", ()).await;
    assert!(matches!(unknown, Err(CallError::Failed(_))));
    println!("ann may do what a customer may");
    Ok([printer, ann])
}
