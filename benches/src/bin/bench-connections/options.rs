//! What to do, and how much of it.

use std::path::PathBuf;
use std::time::Duration;

use lapwing_benches::framing::Transport;
use lexopt::prelude::*;

/// Options of every mode.
pub(crate) struct Options {
    /// The program `lapwing`.
    pub(crate) hub: PathBuf,
    pub(crate) transport: Transport,
    pub(crate) connections: usize,
    /// How long one phase takes.
    pub(crate) phase: Duration,
    /// How often quiet and loud take turns.
    pub(crate) reps: usize,
    /// Events a second.
    pub(crate) rate: f64,
}

impl Options {
    pub(crate) fn parse(
        mut arguments: lexopt::Parser,
        connections: usize,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let mut options = Self {
            hub: std::env::current_exe()?.with_file_name("lapwing"),
            transport: Transport::WebSocket,
            connections,
            phase: Duration::from_secs(4),
            reps: 3,
            rate: 500.0,
        };
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("hub") => options.hub = arguments.value()?.into(),
                Long("transport") => {
                    let name = arguments.value()?.string()?;
                    options.transport =
                        Transport::by_name(&name).ok_or("a transport is tcp or ws")?;
                }
                Long("connections") => options.connections = arguments.value()?.parse()?,
                Long("seconds") => {
                    options.phase = Duration::try_from_secs_f64(arguments.value()?.parse()?)?;
                }
                Long("reps") => options.reps = arguments.value()?.parse()?,
                Long("rate") => options.rate = arguments.value()?.parse()?,
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }
}
