//! Latency: a payload carries a marker and a time, and what is received is searched for them.

use crate::bytes::find;

pub(crate) const MARK: &[u8; 8] = b"LWBENCH1";

pub(crate) fn nanoseconds() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

pub(crate) fn stamp(frame: &mut [u8], offset: usize, mask: Option<[u8; 4]>) {
    let time = nanoseconds();
    for i in 0..16 {
        let digit = ((time >> (60 - 4 * i)) & 15) as u8;
        let mut character = if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        };
        if let Some(mask) = mask {
            character ^= mask[(8 + i) & 3];
        }
        frame[offset + 8 + i] = character;
    }
}

#[derive(Default)]
pub(crate) struct Sampler {
    tail: Vec<u8>,
    latencies: Vec<u32>,
    seen: u64,
}

impl Sampler {
    pub(crate) fn feed(&mut self, data: &[u8], stride: usize) {
        let now = nanoseconds();
        self.tail.extend_from_slice(data);
        let mut position = 0;
        let rest = loop {
            let at = match next_stamp(&self.tail, position) {
                Ok(at) => at,
                Err(rest) => break rest,
            };
            self.note(now, time(&self.tail[at + 8..at + 24]));
            // jump straight to where the next marker is expected when it is already here
            if self.tail.len() >= at + stride + 24 {
                position = at + stride
            } else {
                position = at + 24
            }
        };
        let length = self.tail.len();
        self.tail.copy_within(rest.., 0);
        self.tail.truncate(length - rest);
    }

    fn note(&mut self, now: u64, stamped: u64) {
        self.seen += 1;
        if self.latencies.len() < 4_000_000 {
            self.latencies
                .push((now.saturating_sub(stamped) / 10).min(u32::MAX as u64) as u32);
        }
    }

    /// In units of ten nanoseconds.
    pub(crate) fn latencies(&self) -> &[u32] {
        &self.latencies
    }

    pub(crate) fn forget_latencies(&mut self) {
        self.latencies.clear()
    }

    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }
}

/// Where the next marker is with all of its time; else from where to search when there is more.
fn next_stamp(bytes: &[u8], from: usize) -> Result<usize, usize> {
    if bytes.len() < from + 24 {
        return Err(from);
    }
    if &bytes[from..from + 8] == MARK {
        return Ok(from);
    }
    match find(&bytes[from..], MARK) {
        Some(i) if bytes.len() < from + i + 24 => Err(from + i),
        Some(i) => Ok(from + i),
        None => Err(bytes.len().saturating_sub(7).max(from)),
    }
}

fn time(digits: &[u8]) -> u64 {
    let mut time = 0;
    for &digit in digits {
        time = time << 4 | (digit as char).to_digit(16).unwrap_or(0) as u64;
    }
    time
}

/// In microseconds.
pub(crate) fn percentile(latencies: &mut [u32], part: f64) -> f64 {
    if latencies.is_empty() {
        return 0.0;
    }
    let i = ((latencies.len() - 1) as f64 * part) as usize;
    let (_, latency, _) = latencies.select_nth_unstable(i);
    *latency as f64 / 100.0
}
