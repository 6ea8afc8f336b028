//! Clients that are played by hand, frame by frame, against a real hub in virtual time: every bound of the hub is
//! reached, every kind of bad input ends as its table says, and nobody else notices. Over every
//! [carrier](carrier::Carrier), unless a test says why not.

mod bad_input;
#[cfg(feature = "json")]
mod bare_json;
mod calls;
mod carrier;
mod closes;
mod door;
mod frames;
mod history;
mod lanes;
mod misbehaviour;
mod moments;
mod no_hub;
mod peer;
mod race;
mod raw;
mod requests;
mod resume;
mod resume_bad_input;
mod storms;
mod streams;
mod time;
mod together;
mod upgrades;
mod wakers;
mod world;
