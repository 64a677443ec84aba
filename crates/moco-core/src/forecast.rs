//! What can be known of a run before its first step: problems that follow from the settings and the size of the set.

use std::fmt;

use crate::{Diagnosis, MocoConfig, TrainConfig};

/// Images in a group from which on its statistics count as statistics: below, the standard error of a deviation,
/// `1 / sqrt(2 (n - 1))`, is above 27 %.
const GROUP: usize = 8;
/// Share of the key encoder's initial weights that may be left at the end.
const LEFT: f64 = 0.1;
/// Steps below which nothing separated, in trials with a few thousand images of 32 to 64 pixels.
const STEPS: u64 = 300;

/// A problem that follows from the settings, and the setting that would solve it.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// The problem.
    pub diagnosis: Diagnosis,
    /// What was found, with its numbers.
    pub found: String,
    /// Path of a setting in [`TrainConfig`], such as `moco.momentum`.
    pub setting: &'static str,
    /// The value that it should have, as TOML and JSON write it.
    pub value: String,
}

impl fmt::Display for Forecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { diagnosis, found, setting, value } = self;
        write!(f, "{}: {found}; use {setting} = {value}", diagnosis.cause())
    }
}

impl TrainConfig {
    /// Optimizer steps of an epoch with so many images.
    pub fn steps_per_epoch(&self, images: usize) -> u64 {
        (images / self.batch_size.max(1)).div_ceil(self.accumulate.max(1)) as u64
    }

    /// Problems of a run on so many images that can be known before it, each with the value to use instead. Empty for
    /// fewer images than a batch, of which there is no run.
    pub fn forecast(&self, images: usize) -> Vec<Forecast> {
        let per_epoch = self.steps_per_epoch(images);
        let steps = per_epoch * self.epochs;
        if steps == 0 {
            return Vec::new();
        }
        let found = [self.length(steps, per_epoch), self.keys(steps, per_epoch), self.groups(), self.queue(images)];
        found.into_iter().flatten().collect()
    }

    fn length(&self, steps: u64, per_epoch: u64) -> Option<Forecast> {
        (steps < STEPS).then(|| Forecast {
            diagnosis: Diagnosis::TooFewSteps,
            found: format!("{steps} steps, where the fewest that ever helped were about {STEPS}"),
            setting: "epochs",
            value: STEPS.div_ceil(per_epoch).to_string(),
        })
    }

    /// Of a run that is too short, at the length that it should have: a momentum for a few steps would be 0, and an average
    /// over one step is none.
    fn keys(&self, steps: u64, per_epoch: u64) -> Option<Forecast> {
        let MocoConfig { momentum, momentum_end, .. } = self.moco;
        let (steps, words) = match steps < STEPS {
            true => (STEPS.div_ceil(per_epoch) * per_epoch, ", the fewest that the run should have"),
            false => (steps, ""),
        };
        let left = self.moco.left_after(steps);
        let to_end = momentum_end.map_or(String::new(), |end| format!(" to {end}"));
        (left > LEFT).then(|| Forecast {
            diagnosis: Diagnosis::KeysHardlyMove,
            found: format!(
                "{:.0} % of its initial weights are left at the end (momentum {momentum}{to_end} over {steps} steps{words})",
                100.0 * left
            ),
            setting: "moco.momentum",
            value: momentum_for(steps, momentum_end).to_string(),
        })
    }

    fn groups(&self) -> Option<Forecast> {
        let (batch, groups) = (self.batch_size, self.moco.groups.max(1));
        (batch / groups < GROUP).then(|| {
            let fitting = (1..=groups).rev().find(|&g| batch.is_multiple_of(g) && batch / g >= GROUP);
            let (setting, value) = match fitting {
                Some(groups) => ("moco.groups", groups),
                None => ("batch_size", GROUP * groups),
            };
            Forecast {
                diagnosis: Diagnosis::GroupsTooSmall,
                found: format!("{} of each of {groups} groups, where at least {GROUP} are needed", batch / groups),
                setting,
                value: value.to_string(),
            }
        })
    }

    fn queue(&self, images: usize) -> Option<Forecast> {
        let MocoConfig { queue_size, .. } = self.moco;
        self.moco.meets_itself(images).then(|| Forecast {
            diagnosis: Diagnosis::QueueLargerThanData,
            found: format!("{queue_size} keys for {images} images"),
            setting: "moco.queue_size",
            value: self.moco.queue_for(images, self.batch_size).to_string(),
        })
    }
}

impl MocoConfig {
    /// Share of the key encoder's initial weights that is left after so many steps: the product of their momenta.
    pub fn left_after(&self, steps: u64) -> f64 {
        (0..steps).map(|step| self.momentum_at(step as f64 / steps as f64)).product()
    }

    /// Whether many a query meets an older key of its own image. With both in any order in their epochs that has a
    /// chance of `(K / images)² / 2`: one query in eight where K is half the set.
    pub(crate) fn meets_itself(&self, images: usize) -> bool {
        self.queue_size > images / 2 && !self.mask_same_patient
    }
}

/// A momentum whose time constant is a tenth of the steps, to two digits of `1 - m`; where it rises, its mean is.
fn momentum_for(steps: u64, end: Option<f64>) -> f64 {
    let mean = 10.0 / steps as f64; // of 1 - m
    let first = end.map_or(mean, |end| (2.0 * mean - (1.0 - end)).max(mean)).min(1.0);
    let digit = 10_f64.powf(first.log10().floor() - 1.0);
    let first = (first / digit).ceil() * digit;
    // The difference of two decimals is a decimal again.
    ((1.0 - first) * 1e9).round() / 1e9
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The same settings with one of them replaced, as a user would.
    fn cured(config: &TrainConfig, found: &Forecast) -> TrainConfig {
        let mut json = serde_json::to_value(config).unwrap();
        let setting = json.pointer_mut(&format!("/{}", found.setting.replace('.', "/"))).unwrap();
        *setting = serde_json::from_str(&found.value).unwrap();
        serde_json::from_value(json).unwrap()
    }

    fn config() -> TrainConfig {
        let mut config = TrainConfig::default();
        (config.epochs, config.batch_size, config.moco.groups) = (24, 32, 2);
        (config.moco.queue_size, config.moco.momentum) = (256, 0.99);
        config
    }

    #[test]
    fn sound_settings_raise_nothing() {
        assert_eq!(config().forecast(2_200), []);
        assert_eq!(config().forecast(31), [], "there is no run");
    }

    #[test]
    fn every_problem_is_named_with_its_numbers_and_cured_by_its_value() {
        type Change = fn(&mut TrainConfig);
        let cases: [(Change, Diagnosis, &str, &str); 8] = [
            (|c| c.epochs = 4, Diagnosis::TooFewSteps, "272 steps", "epochs = 5"),
            (|c| c.moco.momentum = 0.9999, Diagnosis::KeysHardlyMove, "85 % of its initial", "moco.momentum = 0.9938"),
            (|c| c.moco.momentum = 1.0, Diagnosis::KeysHardlyMove, "100 % of its initial", "moco.momentum = 0.9938"),
            (
                |c| (c.moco.momentum, c.moco.momentum_end) = (0.999, Some(1.0)),
                Diagnosis::KeysHardlyMove,
                "44 % of its initial weights are left at the end (momentum 0.999 to 1 over 1632 steps)",
                "moco.momentum = 0.987",
            ),
            (|c| c.moco.groups = 8, Diagnosis::GroupsTooSmall, "4 of each of 8 groups", "moco.groups = 4"),
            (
                |c| (c.batch_size, c.moco.groups) = (4, 2),
                Diagnosis::GroupsTooSmall,
                "2 of each of 2 groups",
                "batch_size = 16",
            ),
            (|c| c.moco.queue_size = 1_101, Diagnosis::QueueLargerThanData, "1101 keys for 2200", "queue_size = 512"),
            (|c| c.moco.queue_size = 9_999, Diagnosis::QueueLargerThanData, "9999 keys for 2200", "queue_size = 512"),
        ];
        for (change, diagnosis, numbers, value) in cases {
            let mut config = config();
            change(&mut config);
            let forecasts = config.forecast(2_200);
            let [found] = forecasts.as_slice() else { panic!("{diagnosis:?}: {forecasts:?}") };
            assert_eq!(found.diagnosis, diagnosis);
            let text = found.to_string();
            assert!(text.contains(numbers) && text.ends_with(value), "{text}");
            assert_eq!(cured(&config, found).forecast(2_200), [], "{text}");
        }
    }

    /// Whatever the length, what is proposed averages over many steps: a momentum of 0 is no momentum contrast.
    #[test]
    fn a_run_of_a_few_steps_is_to_be_longer_and_keeps_a_momentum() {
        for (images, epochs) in [(32, 1), (64, 1), (64, 5), (300, 1), (2_200, 1)] {
            for (momentum, end) in [(0.99, None), (0.999, None), (0.9999, None), (0.99, Some(1.0))] {
                let mut config = config();
                config.epochs = epochs;
                (config.moco.queue_size, config.moco.momentum, config.moco.momentum_end) = (8, momentum, end);
                let forecasts = config.forecast(images);
                let first = forecasts[0].to_string();
                assert!(first.contains("too short to learn from") && first.contains("; use epochs = "), "{first}");
                for found in forecasts.iter().filter(|found| found.setting == "moco.momentum") {
                    let value: f64 = found.value.parse().unwrap();
                    assert!((0.9..1.0).contains(&value), "{images} images, {epochs} epochs: {found}");
                    assert!(found.to_string().contains("the fewest that the run should have"), "{found}");
                }
                let longer = forecasts.iter().fold(config, |config, found| cured(&config, found));
                assert_eq!(longer.forecast(images), [], "{forecasts:?}");
            }
        }
    }

    #[test]
    fn keys_that_are_left_out_for_their_patient_are_no_problem() {
        let mut config = config();
        (config.moco.queue_size, config.moco.mask_same_patient) = (9_999, true);
        assert_eq!(config.forecast(2_200), []);
    }
}
