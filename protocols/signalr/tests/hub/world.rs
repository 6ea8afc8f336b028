//! A hub in virtual time, for pages and for native clients.

use std::time::Duration;

use lapwing::hub::{Action, Admission, Ask, Caller, HubBuilder, Refuse, Rule};
use lapwing::wire::{FailureCode, Return};
use lapwing::{CallFailure, Client, Hub, Typed};
use lapwing_memory::{Network, Virtual, pair};

use crate::page::Page;

pub(crate) struct World {
    pub(crate) sim: Virtual,
    pub(crate) hub: Hub,
    pub(crate) network: Network,
}

/// Runs `test` against a hub with some methods, in many orders.
pub(crate) fn check(test: impl AsyncFn(&World)) {
    check_with(|builder| builder, test);
}

/// The same for a hub that `build` sets up further.
pub(crate) fn check_with(build: impl Fn(HubBuilder) -> HubBuilder, test: impl AsyncFn(&World)) {
    Virtual::check(0..10, async |sim| {
        let builder = methods(Hub::builder(sim.runtime()))
            .protocol(lapwing_signalr::Json)
            .protocol(lapwing_signalr::MessagePack);
        let hub = build(builder)
            .topic("secret/**", Rule::closed())
            .topic("**", Rule::open())
            .build()
            .expect("good filters");
        let network = Network::new(&sim.runtime());
        let listener = network.listen("hub").expect("a free name");
        sim.spawn_named("hub", hub.serve(listener));
        test(&World { sim, hub, network }).await;
    });
}

fn methods(builder: HubBuilder) -> HubBuilder {
    builder
        .on_connect(async |ask: Ask| match ask.token.as_deref() {
            Some(b"refused") => Err(Refuse::unauthorized("a secret")),
            _ => Ok(Admission::anonymous()),
        })
        .authorize(|_, action| !matches!(action, Action::Call("AdminOnly")))
        .on_call("Add", async |_, (a, b): (i64, i64)| {
            let sum = a.checked_add(b).ok_or("overflow")?;
            Ok(Typed(sum))
        })
        .on_call("Echo", async |_, text: String| Ok(text))
        .on_call("EchoValue", async |_, value: Typed<serde_json::Value>| {
            Ok(value)
        })
        .on_call("EchoBytes", async |_, text: String| Ok(text.into_bytes()))
        .on_call("VoidCall", async |_, Typed(()): Typed<()>| Ok(()))
        .on_call("NullCall", async |_, Typed(()): Typed<()>| Ok(Typed(())))
        .on_call("Say", async |caller: Caller, said: (String, String)| {
            caller.hub().all().send("ReceiveMessage", said)?;
            Ok(())
        })
        .on_call("ThrowPrivate", async |_, _: String| {
            Err::<(), _>(CallFailure::new(FailureCode::Failed, ""))
        })
        .on_call(
            "Panic",
            async |_, message: String| -> Result<(), CallFailure> { panic!("{message}") },
        )
        .on_call("AdminOnly", async |_, (): ()| Ok(()))
        .on_call("Ask", async |caller: Caller, question: String| {
            let asked = caller.call::<Typed<serde_json::Value>>("Answer", (question,));
            asked.await.map_err(|error| match error {
                lapwing::hub::RemoteCallError::Failed(failure) => failure,
                other => CallFailure::from(other.to_string()),
            })
        })
        .on_call(
            "CloseWith",
            async |caller: Caller, (error, returns): (Option<String>, bool)| {
                let verdict = match returns {
                    true => Return::Now,
                    false => Return::Never,
                };
                caller.remote().close_with(verdict, error.as_deref());
                Ok(())
            },
        )
        .on_call("AbortMe", async |caller: Caller, (): ()| {
            caller.remote().close();
            Ok(())
        })
}

impl World {
    /// Who has not said anything yet.
    pub(crate) fn stranger(&self) -> Page {
        let (page, hub) = pair(&self.sim.runtime());
        let attached = self.hub.attach(hub);
        self.sim.spawn_named("page", async move {
            attached.await;
        });
        Page::new(page)
    }

    /// A page that was let in.
    pub(crate) async fn page(&self) -> Page {
        let mut page = self.stranger();
        page.shake_hands().await;
        page
    }

    /// A client of the native protocol.
    pub(crate) async fn native(&self) -> Client {
        let connector = self.network.connector("hub");
        let client = Client::builder(self.sim.runtime(), connector).spawned();
        client.online().await.expect("the hub lets it in");
        client
    }

    pub(crate) async fn pass(&self, time: Duration) {
        self.sim.sleep(time).await;
        self.sim.settle().await;
    }
}
