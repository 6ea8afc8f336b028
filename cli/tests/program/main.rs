//! The program `lapwing`, as real processes over loopback.
#![cfg(unix)]

mod calls;
mod demo;
mod liveness;
mod past;
mod process;
mod proxy;
mod publish_subscribe;
mod reconnect;
mod refusals;
mod restart;
mod resume;
mod shutdown;
mod slow_reader;
mod upgrade;
