//! What clients of the hub protocol say to a hub and hear of it, record by record, in virtual time.

mod bad_input;
mod calls;
mod events;
mod full;
mod handshake;
mod messagepack;
mod page;
mod returning;
mod streams;
mod ticket;
mod world;
