//! Ending the connection.

use lapwing::hub::{Caller, HubBuilder};

pub(crate) fn methods(hub: HubBuilder) -> HubBuilder {
    hub.on_call("AbortMe", async |caller: Caller, (): ()| {
        caller.remote().close();
        Ok(())
    })
}
