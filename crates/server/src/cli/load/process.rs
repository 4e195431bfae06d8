//! What a process has used so far, read from `/proc`.
//!
//! # Source
//!
//! proc_pid_stat(5), proc_pid_status(5).

use std::fs;

/// Linux reports process times in hundredths of a second whatever the kernel's own tick is (`USER_HZ`).
const TICK_US: u64 = 10_000;

/// Processor time and memory of one or more processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time, microseconds, in steps of 10 ms.
    pub cpu_us: u64,
    /// Resident memory, bytes.
    pub rss: u64,
    /// The highest resident memory so far, bytes.
    pub rss_peak: u64,
    /// Open file descriptors, 0 when they may not be counted.
    pub files: u64,
}

/// Reads one process; `None` when it does not exist (or this is not Linux).
pub fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let cpu_us = cpu_us(&stat)?;
    let files = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count() as u64);
    Some(Usage { cpu_us, rss: kib(&status, "VmRSS:"), rss_peak: kib(&status, "VmHWM:"), files })
}

/// Sums several processes; `None` when any is gone, because a sum without it would flatter.
pub fn total(pids: &[u32]) -> Option<Usage> {
    pids.iter().try_fold(Usage::default(), |sum, &pid| {
        let one = usage(pid)?;
        Some(Usage {
            cpu_us: sum.cpu_us + one.cpu_us,
            rss: sum.rss + one.rss,
            rss_peak: sum.rss_peak + one.rss_peak,
            files: sum.files + one.files,
        })
    })
}

/// Fields 14 and 15, counted after the command name, which may hold spaces and parentheses.
fn cpu_us(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * TICK_US)
}

fn kib(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_ascii_whitespace().next());
    number.and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        assert_eq!(cpu_us("7 (a) b (c)) S 1 7 7 0 -1 4 5 0 0 0 30 12 0 0 20"), Some(420_000));
        assert_eq!(cpu_us("7 (a"), None);
    }

    #[test]
    fn this_process_can_be_read_and_a_missing_one_not() {
        let own = usage(std::process::id()).unwrap();
        assert!(own.rss > 0 && own.rss_peak >= own.rss);
        assert_eq!(total(&[std::process::id(), u32::MAX]), None);
    }
}
