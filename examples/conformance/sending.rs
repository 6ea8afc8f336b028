//! Sending to clients, and the groups that they are in.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_lite::future::yield_now;
use lapwing::hub::{Caller, HubBuilder, Remote};
use lapwing::payload::Arguments;
use lapwing::runtime::Smol;
use lapwing::{CallFailure, ConnectionId, Typed};
use smol::Timer;

use crate::plain::milliseconds;
use crate::visitor::Visitor;

/// Sequences that are pushed to one connection at a time.
const PUSHING_MAX: u32 = 64;

/// How much of a sequence is pushed before others have their turn.
const TURN: i64 = 64;

/// How long a sequence waits for a client that does not read, before the client is ended.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn methods(hub: HubBuilder, smol: &Smol) -> HubBuilder {
    sequences(groups(users(connections(hub))), smol)
}

fn connections(hub: HubBuilder) -> HubBuilder {
    hub.on_call(
        "SendToCaller",
        async |caller: Caller, (method, args): (String, Arguments)| {
            caller.remote().send(&method, args)?;
            Ok(())
        },
    )
    .on_call(
        "SendToAll",
        async |caller: Caller, (method, args): (String, Arguments)| {
            caller.hub().all().send(&method, args)?;
            Ok(())
        },
    )
    .on_call(
        "SendToOthers",
        async |caller: Caller, (method, args): (String, Arguments)| {
            let others = caller.hub().all().except([caller.id()]);
            others.send(&method, args)?;
            Ok(())
        },
    )
    .on_call(
        "SendToConnection",
        async |caller: Caller, (id, method, args): (String, String, Arguments)| {
            send_each(&caller, &[id], &method, &args)
        },
    )
    .on_call(
        "SendToConnections",
        async |caller: Caller, (ids, method, args): (Vec<String>, String, Arguments)| {
            send_each(&caller, &ids, &method, &args)
        },
    )
    .on_call(
        "SendToAllExcept",
        async |caller: Caller, (ids, method, args): (Vec<String>, String, Arguments)| {
            let others = caller.hub().all().except(known(&ids));
            others.send(&method, args)?;
            Ok(())
        },
    )
}

fn users(hub: HubBuilder) -> HubBuilder {
    hub.on_call(
        "SendToUser",
        async |caller: Caller, (user, method, args): (String, String, Arguments)| {
            caller.hub().user(user).send(&method, args)?;
            Ok(())
        },
    )
    .on_call(
        "SendToUsers",
        async |caller: Caller, (users, method, args): (Vec<String>, String, Arguments)| {
            for user in users {
                caller.hub().user(user).send(&method, &args)?;
            }
            Ok(())
        },
    )
}

fn groups(hub: HubBuilder) -> HubBuilder {
    hub.on_call("JoinGroup", async |caller: Caller, group: String| {
        caller.remote().join(group)?;
        Ok(())
    })
    .on_call("LeaveGroup", async |caller: Caller, group: String| {
        caller.remote().leave(&group);
        Ok(())
    })
    .on_call(
        "SendToGroup",
        async |caller: Caller, (group, method, args): (String, String, Arguments)| {
            caller.hub().group(group).send(&method, args)?;
            Ok(())
        },
    )
    .on_call(
        "SendToGroups",
        async |caller: Caller, (groups, method, args): (Vec<String>, String, Arguments)| {
            for group in groups {
                caller.hub().group(group).send(&method, &args)?;
            }
            Ok(())
        },
    )
    .on_call(
        "SendToGroupExcept",
        async |caller: Caller,
               (group, ids, method, args): (String, Vec<String>, String, Arguments)| {
            let others = caller.hub().group(group).except(known(&ids));
            others.send(&method, args)?;
            Ok(())
        },
    )
    .on_call(
        "SendToOthersInGroup",
        async |caller: Caller, (group, method, args): (String, String, Arguments)| {
            let others = caller.hub().group(group).except([caller.id()]);
            others.send(&method, args)?;
            Ok(())
        },
    )
}

fn sequences(hub: HubBuilder, smol: &Smol) -> HubBuilder {
    let smol = smol.clone();
    hub.on_call(
        "PushSequence",
        move |caller: Caller, sequence: (String, i64, i64)| {
            let smol = smol.clone();
            async move {
                let visitor = Visitor::of(&caller)?;
                let place = Pushing::begin(visitor).ok_or("too many sequences at once")?;
                let remote = caller.remote().clone();
                smol.spawn(async move {
                    push(&remote, sequence).await;
                    drop(place);
                });
                Ok(())
            }
        },
    )
}

/// Sends a sequence as fast as it is taken, until the connection is gone.
async fn push(remote: &Remote, (method, count, delay_ms): (String, i64, i64)) {
    for number in 0..count {
        if number > 0 && delay_ms > 0 {
            Timer::after(milliseconds(delay_ms)).await;
        }
        let sent = remote.send_within(PATIENCE, &method, Typed(number));
        match sent.await {
            Ok(sent) if !sent.is_nobody() => {}
            _ => return,
        }
        if number % TURN == TURN - 1 {
            yield_now().await;
        }
    }
}

/// A place for one more sequence to a connection.
struct Pushing(Arc<Visitor>);

impl Pushing {
    fn begin(visitor: Arc<Visitor>) -> Option<Self> {
        let one_more = |pushing| (pushing < PUSHING_MAX).then_some(pushing + 1);
        let pushing = &visitor.pushing;
        let begun = pushing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        begun.is_ok().then(|| Self(visitor))
    }
}

impl Drop for Pushing {
    fn drop(&mut self) {
        self.0.pushing.fetch_sub(1, Ordering::Relaxed);
    }
}

fn send_each(
    caller: &Caller,
    ids: &[String],
    method: &str,
    args: &Arguments,
) -> Result<(), CallFailure> {
    for id in known(ids) {
        caller.hub().connection(id).send(method, args)?;
    }
    Ok(())
}

/// What names a connection, or could.
fn known(ids: &[String]) -> Vec<ConnectionId> {
    ids.iter().filter_map(|id| id.parse().ok()).collect()
}
