//! Times on the command line.

use std::time::Duration;

/// A duration such as `11h50m`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time(pub(crate) Duration);

impl std::str::FromStr for Time {
    type Err = String;

    /// At most a year, so that sums of times stay in range.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "a time above 0 and up to a year with its units, e.g. 90s, 45m or 11h50m";
        let time = humantime::parse_duration(text).ok();
        let time = time.filter(|time| !time.is_zero() && *time <= Duration::from_secs(366 * 24 * 3600));
        time.map(Self).ok_or_else(|| format!("expected {expected}"))
    }
}
