//! What a number of runs came to.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

macro_rules! sums {
    ($($name:ident: $what:literal),* $(,)?) => {
        /// What happened, counted.
        #[derive(Default)]
        pub(crate) struct Sums {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Sums {
            /// Adds those of one run.
            pub(crate) fn add(&self, other: &Self) {
                $(add(&self.$name, other.$name.load(Ordering::Relaxed));)*
            }

            fn lines(&self) -> Vec<(&'static str, u64)> {
                vec![$(($what, self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

sums! {
    published: "events published",
    delivered: "events delivered",
    lagged: "events told as lagged",
    gaps: "events told in gaps",
    unknown: "gaps of unknown size",
    resumed: "sessions resumed",
    replayed: "subscriptions replayed",
    new_sessions: "new sessions of known clients",
    cuts: "cuts",
    half_open: "half-open connections",
    stalls: "stalls",
    partitions: "partitions",
    slow_paths: "slow paths",
    jumps: "clock jumps",
    kicked: "connections kicked",
    client_crashes: "clients crashed",
    drops: "tasks of a hub dropped",
    restarts: "hubs crashed and restarted",
    shutdowns: "hubs shut down and started anew",
    calls: "calls answered",
    calls_failed: "calls that ended with an error",
    flows: "streams read to their end",
    flows_failed: "streams that ended with an error",
    items: "items of streams",
    joins: "joins and leaves",
    calms: "times of quiet at which everything was compared",
}

pub(crate) fn add(sum: &AtomicU64, more: u64) {
    sum.fetch_add(more, Ordering::Relaxed);
}

/// The sums of all runs, for people to read.
pub(crate) struct Report<'a> {
    pub(crate) sums: &'a Sums,
    pub(crate) seeds: u64,
    pub(crate) threads: u64,
    pub(crate) took: Duration,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seeds = self.seeds.max(1) as f64;
        let per_core = seeds / self.took.as_secs_f64() / self.threads as f64;
        writeln!(
            f,
            "{} seeds in {:.1} s on {} cores: {:.1} a second, {:.0} an hour on one core",
            self.seeds,
            self.took.as_secs_f64(),
            self.threads,
            per_core,
            per_core * 3600.0
        )?;
        for (what, sum) in self.sums.lines() {
            writeln!(f, "{sum:>12}  {:>9.1} a seed  {what}", sum as f64 / seeds)?;
        }
        Ok(())
    }
}
