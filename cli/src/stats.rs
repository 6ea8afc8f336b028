//! Counters of a hub, printed as JSON lines.

use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use lapwing::Hub;
use lapwing::hub::{Counters, ShutdownReport};
use serde::Serialize;

/// How long the last line may take when nobody reads it.
const LAST_LINE: Duration = Duration::from_secs(1);

/// Prints the counters of a hub every so often, from a thread of its own: a reader that has stalled must not stall the hub.
pub(crate) struct Stats {
    last: Sender<Report>,
    ended: Receiver<()>,
}

#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    counters: Counters,
    #[serde(skip_serializing_if = "Option::is_none")]
    shutdown: Option<Report>,
}

/// What came of a shutdown.
#[derive(Serialize)]
struct Report {
    /// Connections that had everything and said goodbye.
    closed: u64,
    /// Connections that were cut.
    cut: u64,
    undelivered_frames: u64,
    /// Calls that were answered after the end had begun.
    calls_finished: u64,
    /// Calls that took too long.
    calls_cut: u64,
}

impl Stats {
    pub(crate) fn begin(hub: Hub, every: Duration) -> Self {
        let (last, reports) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        thread::spawn(move || {
            // Without a reader nobody misses the lines.
            let _ = print(&hub, every, &reports);
            drop(ending);
        });
        Self { last, ended }
    }

    /// Prints a last line, with what came of the shutdown, and waits until it is out.
    pub(crate) fn end(self, report: &ShutdownReport) {
        let report = Report {
            closed: report.closed,
            cut: report.cut,
            undelivered_frames: report.undelivered_frames,
            calls_finished: report.calls_finished,
            calls_cut: report.calls_cut,
        };
        // Both fail when the thread has lost its reader.
        let _ = self.last.send(report);
        let _ = self.ended.recv_timeout(LAST_LINE);
    }
}

fn print(hub: &Hub, every: Duration, reports: &Receiver<Report>) -> io::Result<()> {
    let mut due = Instant::now();
    loop {
        due += every;
        match reports.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => line(hub, None)?,
            Ok(report) => return line(hub, Some(report)),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

fn line(hub: &Hub, shutdown: Option<Report>) -> io::Result<()> {
    let counters = hub.counters();
    let mut line = serde_json::to_vec(&Line { counters, shutdown })?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}
