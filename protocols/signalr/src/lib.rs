//! SignalR for [`lapwing`]: what Microsoft's clients for browsers, Node, .NET, Java and Swift speak, over any transport.
//!
//! ```text
//!  connection.invoke("Say", user, text) ──► on_call("Say", |caller, (user, text)| …)
//!  connection.on("ReceiveMessage", …)   ◄── hub.all().send("ReceiveMessage", (user, text))
//!  connection.on("news/today", …)       ◄── hub.publish("news/today", …), after invoke("Subscribe", "news/**")
//! ```
//!
//! Every group, user and topic of a hub reaches SignalR clients beside all others; each event is written once for all of them.
//! A tuple is as many arguments as it has elements, any other value is one. Methods are found whatever the case of their letters.
//!
//! ```
//! use lapwing::Hub;
//! use lapwing::hub::Caller;
//! use lapwing_memory::Virtual;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hub = Hub::builder(Virtual::new(1))
//!     .protocol(lapwing_signalr::Json)
//!     .protocol(lapwing_signalr::MessagePack)
//!     .on_call("Say", async |caller: Caller, (user, text): (String, String)| {
//!         caller.hub().all().send("ReceiveMessage", (user, text))?;
//!         Ok(())
//!     })
//!     .build()?;
//! # drop(hub);
//! # Ok(())
//! # }
//! ```
//!
//! A client takes part in publish and subscribe by three methods that need no handler, under the hub's rules: `Subscribe(filter)`, `Unsubscribe(filter)` and
//! `Publish(topic, value)`; handlers of these names are not reached by it. It hears `connection.on(topic, …)`, and `lagged(missed, subscription)` where events are missing.
//!
//! A client that asks for stateful reconnect, over an endpoint that lets it, goes on after its WebSocket was lost as if nothing had happened: `lapwing_http::Options::stateful_reconnect`.
//!
//! | spoken | from |
//! | --- | --- |
//! | [hub protocol](https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md), JSON, versions 1 and 2 | [`Json`] |
//! | the same in MessagePack, for hubs that speak JSON too: a client says in the handshake which of them it wants | [`MessagePack`] |

mod conversation;
mod failure;
mod form;
mod handshake;
mod incoming;
mod json;
mod messagepack;
mod records;
mod sequence;
mod streams;

pub use self::json::Json;
pub use self::messagepack::MessagePack;
