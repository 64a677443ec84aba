//! The axes of a chart: their range, and ticks at round numbers.

/// An axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Quantity and unit.
    pub name: String,
    /// Value at its beginning.
    pub low: f64,
    /// Value at its end.
    pub high: f64,
    /// Values at which a label stands, with its text.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis for values between `low` and `high`, with about five ticks at round numbers; it ends at the outermost
    /// ticks.
    pub fn linear(name: &str, low: f64, high: f64) -> Self {
        Self::with_ticks(name, low, high, 5)
    }

    /// [`Self::linear`] with about this number of ticks.
    pub fn with_ticks(name: &str, low: f64, high: f64, about: usize) -> Self {
        let (low, high) = match (low.is_finite() && high.is_finite(), high > low) {
            (true, true) => (low, high),
            (true, false) => (low - 0.5 * low.abs().max(1e-3), low + 0.5 * low.abs().max(1e-3)),
            _ => (0.0, 1.0),
        };
        let step = round_step((high - low) / about as f64);
        let (first, last) = ((low / step + 1e-9).floor() as i64, (high / step - 1e-9).ceil() as i64);
        let ticks = (first..=last).map(|i| (i as f64 * step, number(i as f64 * step, step))).collect();
        Self { name: name.to_owned(), low: first as f64 * step, high: last as f64 * step, ticks }
    }

    /// A linear axis that covers the finite ones of `values`, and zero if `from_zero`.
    pub fn around(name: &str, values: impl IntoIterator<Item = f64>, from_zero: bool) -> Self {
        let start = if from_zero { (0.0, 0.0) } else { (f64::INFINITY, f64::NEG_INFINITY) };
        let (low, high) =
            values.into_iter().filter(|v| v.is_finite()).fold(start, |(low, high), v| (low.min(v), high.max(v)));
        Self::linear(name, low, high)
    }

    /// From 0 to 1, with a tick every 0.2.
    pub fn unit(name: &str) -> Self {
        Self::linear(name, 0.0, 1.0)
    }

    /// From 0 to exactly `last`, about four ticks; `last` below 1 counts as 1.
    pub fn up_to(name: &str, last: f64) -> Self {
        let last = last.max(1.0);
        let mut axis = Self::with_ticks(name, 0.0, last, 4);
        axis.high = last;
        axis.ticks.retain(|(value, _)| *value <= last);
        axis
    }

    /// Categories at the values 0, 1, ..., labelled by their names.
    pub fn named(name: &str, names: impl IntoIterator<Item = String>) -> Self {
        let ticks: Vec<(f64, String)> = names.into_iter().enumerate().map(|(i, name)| (i as f64, name)).collect();
        Self { name: name.to_owned(), low: -0.4, high: ticks.len() as f64 - 0.6, ticks }
    }

    /// Position of a value between the ends of the axis, 0 to 1.
    pub(super) fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }
}

/// `step` rounded up to 1, 2, 2.5 or 5 times a power of ten.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|f| f * power >= step * (1.0 - 1e-9)).unwrap_or(10.0);
    factor * power
}

/// Text of a tick, with as many decimals as the step between ticks needs.
fn number(value: f64, step: f64) -> String {
    if step < 1e-4 && value != 0.0 {
        return format!("{value:.0e}");
    }
    let decimals =
        (0..5).find(|&d| (step * 10_f64.powi(d) - (step * 10_f64.powi(d)).round()).abs() < 1e-6).unwrap_or(5);
    let decimals = usize::try_from(decimals).unwrap_or(0);
    if decimals == 0 { whole(value) } else { signed(&format!("{:.decimals$}", value + 0.0)) }
}

/// `value` rounded to a whole number, with commas between thousands: `1,234,567`.
pub fn whole(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if value <= -0.5 { format!("\u{2212}{out}") } else { out }
}

/// `number` with the typographic minus, which is as wide as a plus, in place of each hyphen.
pub fn signed(number: &str) -> String {
    number.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_enclose_the_values() {
        assert_eq!(texts(&Axis::unit("")), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        let axis = Axis::linear("", 6.37, 6.98);
        assert!(axis.low <= 6.37 && axis.high >= 6.98, "{axis:?}");
        assert_eq!(texts(&Axis::linear("", -1.0, 1.0)), ["\u{2212}1.0", "\u{2212}0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(texts(&Axis::up_to("", 1234.0)), ["0", "500", "1,000"]);
        assert_eq!(texts(&Axis::linear("", 0.0, 3e-5)).len(), 4);
    }

    #[test]
    fn empty_and_infinite_ranges_still_make_an_axis() {
        for (low, high) in [(2.0, 2.0), (0.0, 0.0), (f64::NAN, 1.0), (f64::INFINITY, f64::NEG_INFINITY)] {
            let axis = Axis::linear("", low, high);
            assert!(axis.high > axis.low && axis.low.is_finite() && axis.ticks.len() < 12, "{axis:?}");
        }
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(["12", "123", "1,234", "1,234,567"], [12.0, 123.0, 1234.0, 1_234_567.0].map(whole));
        assert_eq!(whole(-1500.0), "\u{2212}1,500");
    }
}
