//! Plain calls: values, failures, and who calls.

use std::time::Duration;

use lapwing::hub::{Caller, HubBuilder};
use lapwing::payload::Value;
use lapwing::{CallFailure, Typed};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use smol::Timer;

use crate::visitor::Visitor;

/// The longest text that `MakeText` makes, in letters.
const LETTERS_MAX: i64 = 4_000_000;

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct TestObject {
    text: String,
    count: i64,
    ratio: f64,
    flag: bool,
    missing: Option<String>,
    items: Vec<i64>,
    nested: Nested,
    data: ByteBuf,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Nested {
    name: String,
    value: i64,
}

pub(crate) fn methods(hub: HubBuilder) -> HubBuilder {
    callers(failures(values(hub)))
}

fn values(hub: HubBuilder) -> HubBuilder {
    hub.on_call("Echo", async |_, text: String| Ok(text))
        .on_call("EchoValue", async |_, value: Value| Ok(value))
        .on_call("EchoObject", async |_, o: Typed<TestObject>| Ok(o))
        .on_call("EchoBytes", async |_, Typed(mut data): Typed<ByteBuf>| {
            data.reverse();
            Ok(Typed(data))
        })
        .on_call("Add", async |_, (a, b): (i64, i64)| {
            Ok(Typed(a.checked_add(b).ok_or("overflow")?))
        })
        .on_call("Length", async |_, text: String| Ok(Typed(text.len())))
        .on_call("MakeText", async |_, Typed(n): Typed<i64>| make_text(n))
        .on_call("VoidCall", async |_, Typed(()): Typed<()>| Ok(()))
        .on_call("NullCall", async |_, Typed(()): Typed<()>| Ok(Value::Null))
        .on_call("Delay", async |_, Typed(ms): Typed<i64>| {
            Timer::after(milliseconds(ms)).await;
            Ok("done")
        })
}

fn failures(hub: HubBuilder) -> HubBuilder {
    hub.on_call("ThrowPublic", async |_, message: String| {
        Err::<(), _>(CallFailure::from(message))
    })
    .on_call("ThrowPrivate", async |_, message: String| {
        Err::<(), _>(CallFailure::private(message))
    })
    .on_call(
        "Panic",
        async |_, message: String| -> Result<(), CallFailure> { panic!("{message}") },
    )
}

fn callers(hub: HubBuilder) -> HubBuilder {
    hub.on_call("GetConnectionId", async |caller: Caller, (): ()| {
        Ok(caller.id().to_string())
    })
    .on_call("GetUser", async |caller: Caller, (): ()| {
        let user = caller.user();
        Ok(Typed(user.map(|user| user.as_str().to_owned())))
    })
    .on_call("GetTransport", async |caller: Caller, (): ()| {
        Ok(Visitor::of(&caller)?.transport)
    })
    .on_call("GetProtocol", async |caller: Caller, (): ()| {
        Ok(Visitor::of(&caller)?.protocol)
    })
    .on_call("GetHeader", async |caller: Caller, name: String| {
        let visitor = Visitor::of(&caller)?;
        Ok(Typed(visitor.request.header(&name).map(String::from)))
    })
    .on_call("GetQuery", async |caller: Caller, name: String| {
        let visitor = Visitor::of(&caller)?;
        Ok(Typed(visitor.request.parameter(&name).map(String::from)))
    })
    .on_call("GetCookie", async |caller: Caller, name: String| {
        let visitor = Visitor::of(&caller)?;
        Ok(Typed(visitor.request.cookie(&name).map(String::from)))
    })
    // Who may call it, the doors say.
    .on_call("AdminOnly", async |_, (): ()| Ok("welcome root"))
}

fn make_text(n: i64) -> Result<String, CallFailure> {
    match usize::try_from(n) {
        Ok(letters) if n <= LETTERS_MAX => Ok("x".repeat(letters)),
        _ => Err("0 to 4000000 letters".into()),
    }
}

/// A time that a client asks for; one that is over already is none.
pub(crate) fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(ms.try_into().unwrap_or(0))
}
