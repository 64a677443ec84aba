//! What the operating system has counted for this process.

use std::fs;

/// Ticks of the processor times in `/proc` a second: fixed in Linux's interface to programs on every architecture in use.
const TICKS: f64 = 100.0;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Process {
    /// Seconds of all threads, in user and system mode.
    pub(super) processor_s: f64,
    /// Page faults without a disk access: memory that is touched for the first time.
    pub(super) minor_faults: u64,
    /// The largest resident memory so far.
    pub(super) peak_bytes: u64,
}

impl Process {
    /// `None` where the system has no `/proc` (other than Linux).
    pub(super) fn now() -> Option<Self> {
        let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).ok();
        Self::parse(&read("stat")?, &read("status")?)
    }

    /// From the texts of `stat` and `status` (`man 5 proc`).
    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The name of the program, in brackets, may hold anything; the third field follows it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(Self {
            processor_s: (field(14)? + field(15)?) as f64 / TICKS,
            minor_faults: field(10)?,
            peak_bytes: 1024 * peak.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_proc_are_read() {
        let stat = "42 (a ) b) R 1 42 42 0 -1 4194304 1234 0 5 0 250 50 0 0 20 0 3 0 100 1 2";
        let status = "Name:\ta ) b\nVmPeak:\t  9 kB\nVmHWM:\t   2048 kB\n";
        let expected = Process { processor_s: 3.0, minor_faults: 1234, peak_bytes: 2 << 20 };
        assert_eq!(Process::parse(stat, status), Some(expected));
        assert_eq!(Process::parse("42 (cut off", status), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_that_is_touched_is_counted() {
        let before = Process::now().unwrap();
        let pages = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = Process::now().unwrap();
        // In pages of at most 2 MiB.
        assert!(after.minor_faults >= before.minor_faults + 32, "{before:?} {after:?}");
        assert!(after.peak_bytes >= 64 << 20);
        drop(pages);
    }
}
