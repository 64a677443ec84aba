//! Memory that a run may use on this machine.

use std::fs;

/// Bytes that the system can give to a process without swapping: what Linux estimates, or what is left of the limit of the
/// process's control group (containers, SLURM) if that is less. `None` where the system does not say.
pub fn available_memory() -> Option<u64> {
    let system = fs::read_to_string("/proc/meminfo").ok().and_then(|text| meminfo(&text));
    let group = ["/sys/fs/cgroup", "/sys/fs/cgroup/memory"].iter().find_map(|root| {
        let read = |name: &str| fs::read_to_string(format!("{root}/{name}")).ok()?.trim().parse::<u64>().ok();
        let limit = read("memory.max").or_else(|| read("memory.limit_in_bytes"))?;
        let used = read("memory.current").or_else(|| read("memory.usage_in_bytes"))?;
        Some(limit.saturating_sub(used))
    });
    match (system, group) {
        (Some(system), Some(group)) => Some(system.min(group)),
        (system, group) => system.or(group),
    }
}

/// `MemAvailable` of `/proc/meminfo`, which counts in KiB.
fn meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says() {
        let text = "MemTotal:       24576000 kB\nMemFree:          100000 kB\nMemAvailable:   20480000 kB\n";
        assert_eq!(meminfo(text), Some(20_971_520_000));
        assert_eq!(meminfo("MemFree: 1 kB\n"), None);
        if cfg!(target_os = "linux") {
            assert!(available_memory().is_some_and(|bytes| bytes > 1 << 20));
        }
    }
}
