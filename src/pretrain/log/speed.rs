//! Speed of the last steps, and the parts of their time.

use std::fmt;

use moco_core::{StepMetrics, StepTimes};

/// Decay of the moving averages: about the last ten steps count.
const PAST: f64 = 0.9;

/// Moving averages over the last steps. [`StepTimes`] defines the parts and says how to read them on a GPU; `data` is the time
/// spent waiting for the loader. Time between steps (checkpoints, logs) is not counted.
#[derive(Debug, Clone)]
pub struct Speed {
    images_per_step: usize,
    steps: f64,
    seconds: f64,
    data: f64,
    times: StepTimes,
}

impl Speed {
    /// For steps of `images_per_step` images.
    pub fn new(images_per_step: usize) -> Self {
        Self { images_per_step, steps: 0.0, seconds: 0.0, data: 0.0, times: StepTimes::default() }
    }

    /// Adds a step to the averages.
    pub fn add(&mut self, metrics: &StepMetrics) {
        let mix = |old: &mut f64, new: f64| *old = *old * PAST + new;
        mix(&mut self.steps, 1.0);
        mix(&mut self.seconds, metrics.data_s + metrics.step_s);
        mix(&mut self.data, metrics.data_s);
        let (t, new) = (&mut self.times, metrics.times);
        mix(&mut t.upload_s, new.upload_s);
        mix(&mut t.forward_s, new.forward_s);
        mix(&mut t.backward_s, new.backward_s);
        mix(&mut t.wait_s, new.wait_s);
        mix(&mut t.update_s, new.update_s);
        mix(&mut t.late_s, new.late_s);
        mix(&mut t.exchange_s, new.exchange_s);
    }

    /// Images per second; 0 before the first step.
    pub fn images_per_s(&self) -> f64 {
        if self.seconds > 0.0 { self.steps * self.images_per_step as f64 / self.seconds } else { 0.0 }
    }

    /// Parts of the time as fractions of 1, in the order of a step.
    pub fn shares(&self) -> [(&'static str, f64); 8] {
        let StepTimes { upload_s, forward_s, backward_s, wait_s, update_s, late_s, exchange_s } = self.times;
        let parts = [
            ("data", self.data),
            ("upload", upload_s),
            ("forward", forward_s),
            ("backward", backward_s),
            ("wait", wait_s),
            ("update", update_s),
            ("other ranks", late_s),
            ("exchange", exchange_s),
        ];
        let total = self.seconds.max(f64::MIN_POSITIVE);
        parts.map(|(name, seconds)| (name, seconds / total))
    }
}

/// `45 images/s (data 3 %, forward 38 %, backward 52 %, update 7 %)`; parts below half a per cent are left out.
impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self
            .shares()
            .into_iter()
            .filter(|(_, share)| *share >= 0.005)
            .map(|(name, share)| format!("{name} {:.0} %", share * 100.0))
            .collect();
        let rate = self.images_per_s();
        let digits = usize::from(rate < 10.0);
        write!(f, "{rate:.digits$} images/s ({})", parts.join(", "))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn step(data_s: f64, step_s: f64, backward_s: f64) -> StepMetrics {
        let measures = serde_json::json!({
            "step": 1, "epoch": 0, "batch": 1, "lr": 0.1, "chance": 1.0, "data_s": data_s, "step_s": step_s, "loss": 1.0,
            "top1": 0.0, "top5": 0.0, "positive": 0.0, "negative": 0.0, "gradient_norm": null,
            "times": { "upload_s": 0.0, "forward_s": 0.0, "backward_s": backward_s, "wait_s": 0.0, "update_s": 0.0 },
        });
        serde_json::from_value(measures).unwrap()
    }

    #[test]
    fn rates_are_of_all_the_time_of_a_step_and_the_last_steps_count_most() {
        let mut speed = Speed::new(32);
        assert_eq!(speed.images_per_s(), 0.0);
        speed.add(&step(0.5, 1.5, 1.0));
        assert_eq!(speed.to_string(), "16 images/s (data 25 %, backward 50 %)");
        for _ in 0..200 {
            speed.add(&step(0.0, 8.0, 4.0));
        }
        // The first step's weight is 0.9^200, below 1e-9.
        assert_eq!(speed.to_string(), "4.0 images/s (backward 50 %)");
    }
}
