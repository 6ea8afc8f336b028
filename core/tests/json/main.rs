//! Native JSON: pages that are played by hand, text by text, and clients of two protocols on one hub, all in virtual time.

mod bad_input;
mod conversation;
mod door;
mod history;
mod page;
mod resume;
mod values;
mod world;
