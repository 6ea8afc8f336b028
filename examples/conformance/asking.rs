//! Asking clients, and waiting for their answers.

use std::time::Duration;

use lapwing::hub::{Caller, Hub, HubBuilder, RemoteCallError};
use lapwing::payload::{Arguments, Value};
use lapwing::{CallFailure, ConnectionId};

/// How long a client has for its answer.
const WITHIN: Duration = Duration::from_secs(5);

pub(crate) fn methods(hub: HubBuilder) -> HubBuilder {
    hub.on_call(
        "AskCaller",
        async |caller: Caller, (method, args): (String, Arguments)| {
            ask_for(&caller, Some(caller.id()), method, args).await
        },
    )
    .on_call(
        "AskConnection",
        async |caller: Caller, (id, method, args): (String, String, Arguments)| {
            ask_for(&caller, id.parse().ok(), method, args).await
        },
    )
}

/// Asks on behalf of a caller, whose next call may run meanwhile: it may be the answer that is waited for.
async fn ask_for(
    caller: &Caller,
    id: Option<ConnectionId>,
    method: String,
    args: Arguments,
) -> Result<Value, CallFailure> {
    let answer = caller.lend(ask(caller.hub(), id, method, args)).await;
    answer.map_err(|error| match error {
        RemoteCallError::Failed(failure) => failure.message.into(),
        RemoteCallError::TimedOut => "timeout".into(),
        RemoteCallError::Gone => "no such connection".into(),
        other => other.to_string().into(),
    })
}

/// Asks one of the hub's clients.
pub(crate) async fn ask(
    hub: &Hub,
    id: Option<ConnectionId>,
    method: String,
    args: Arguments,
) -> Result<Value, RemoteCallError> {
    let remote = hub.connection(id.ok_or(RemoteCallError::Gone)?);
    remote.call(method, args).within(WITHIN).await
}
