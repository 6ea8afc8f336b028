//! Usage: time and memory that a process and the machine have spent.

#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) nanoseconds: u64,
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
}

impl Spent {
    pub(crate) fn since(self, before: Spent) -> Spent {
        Spent {
            nanoseconds: self.nanoseconds - before.nanoseconds,
            user_ticks: self.user_ticks - before.user_ticks,
            system_ticks: self.system_ticks - before.system_ticks,
        }
    }

    /// How much of it was not in the kernel.
    pub(crate) fn user_part(self) -> f64 {
        self.user_ticks as f64 / (self.user_ticks + self.system_ticks).max(1) as f64
    }
}

/// total CPU ns of a process (all live threads), and (user, sys) ticks
pub(crate) fn spent(process: u32) -> Spent {
    if process == 0 {
        return Spent::default();
    }
    let nanoseconds = nanoseconds(process);
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let field = |i: usize| fields.get(i).and_then(|x| x.parse().ok()).unwrap_or(0);
    Spent {
        nanoseconds,
        user_ticks: field(11),
        system_ticks: field(12),
    }
}

fn nanoseconds(process: u32) -> u64 {
    let mut total = 0;
    if let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) {
        for thread in threads.flatten() {
            if let Ok(text) = std::fs::read_to_string(thread.path().join("schedstat")) {
                let first = text.split_whitespace().next();
                total += first.and_then(|x| x.parse::<u64>().ok()).unwrap_or(0);
            }
        }
    }
    total
}

/// Resident memory in kB.
pub(crate) fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    value.and_then(|x| x.parse().ok()).unwrap_or(0)
}

/// kernel TCP memory pages in use, machine wide
pub(crate) fn tcp_memory_pages() -> u64 {
    let statistics = std::fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let line = statistics.lines().find(|line| line.starts_with("TCP:"));
    let value = line.and_then(|line| line.rsplit(' ').next());
    value.and_then(|x| x.parse().ok()).unwrap_or(0)
}
