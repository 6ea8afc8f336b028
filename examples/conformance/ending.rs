//! Ending the connection.

use lapwing::hub::{Caller, HubBuilder};
use lapwing::wire::Return;

pub(crate) fn methods(hub: HubBuilder) -> HubBuilder {
    hub.on_call("AbortMe", async |caller: Caller, (): ()| {
        caller.remote().close();
        Ok(())
    })
    .on_call(
        "CloseWith",
        async |caller: Caller, (error, returns): (Option<String>, bool)| {
            let verdict = if returns { Return::Now } else { Return::Never };
            caller.remote().close_with(verdict, error.as_deref());
            Ok(())
        },
    )
}
