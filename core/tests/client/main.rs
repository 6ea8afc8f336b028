//! What a program can rely on from its client, with hubs that say what a test tells them to say.

mod edges;
mod online;
mod partial;
mod past;
mod reconnect;
mod resume;
mod returning;
mod scripted;
