//! A linear evaluation: heads fitted to convergence on the features of a network that does not move.

use backbones::{Network, NetworkConfig};
use cxr_data::ViewConfig;
use eval::Scores;
use ndarray::Array2;

use crate::{
    Labelled, LoadedPart, Outcome, ProbeSettings, Result, adapt_statistics, draws::fewer_folds, fit_probe, label_draws,
    probe::check_reported, scores,
};

/// Features of the labelled images by one network.
#[derive(Debug, Clone)]
pub struct Arm {
    /// Of the training rows `[N, D]`.
    pub(crate) train: Array2<f32>,
    /// Of the rows the penalty is chosen on `[V, D]`, with their targets `[V, T]`.
    valid: Option<(Array2<f32>, Array2<f64>)>,
    /// Of the rows reported on `[M, D]`.
    pub(crate) test: Array2<f32>,
}

impl Arm {
    /// Features by a trained network, as it is: eval mode, and a check afterwards that no weight and no running statistic
    /// moved.
    ///
    /// # Errors
    /// Test rows with fewer than two patients of a class in some task, an image that cannot be read, a device that fails.
    pub fn of(
        network: &Network,
        views: ViewConfig,
        train: &Labelled<'_>,
        test: &Labelled<'_>,
        settings: &ProbeSettings,
    ) -> Result<Self> {
        check_reported(test, &settings.tasks)?;
        let train = train.features(network, views, settings)?;
        Ok(Self { train, valid: None, test: test.features(network, views, settings)? })
    }

    /// With rows to choose the penalty on, instead of folds within the training rows.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn choosing_on(
        self,
        valid: &Labelled<'_>,
        network: &Network,
        views: ViewConfig,
        settings: &ProbeSettings,
    ) -> Result<Self> {
        Ok(Self { valid: Some((valid.features(network, views, settings)?, valid.targets())), ..self })
    }

    /// Features by a network of random weights whose running statistics were estimated on `images`.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn random(
        config: &NetworkConfig,
        seed: u64,
        device: &burn::tensor::Device,
        images: &LoadedPart,
        views: ViewConfig,
        (train, test): (&Labelled<'_>, &Labelled<'_>),
        settings: &ProbeSettings,
    ) -> Result<Self> {
        let mut network = config.init(seed, device);
        adapt_statistics(&mut network, &images.manifest, &images.rows, views, settings)?;
        Self::of(&network, views, train, test, settings)
    }
}

/// Fits heads on every draw of every fraction, and evaluates them. The score of a row is a logit.
///
/// # Errors
/// What the fits and the statistics say.
pub fn linear(
    train: &Labelled<'_>,
    test: &Labelled<'_>,
    arm: &Arm,
    baseline: Option<&Arm>,
    settings: &ProbeSettings,
) -> Result<Outcome> {
    settings.validate()?;
    let mut outcome = Outcome::default();
    for &fraction in &settings.fractions {
        let draws = label_draws(train, fraction, settings)?;
        if arm.valid.is_none() {
            outcome.notes.extend(fewer_folds(fraction, &draws, settings));
        }
        let fit = |arm: &Arm| -> Result<Vec<Scores>> {
            let valid = arm.valid.as_ref().map(|(features, targets)| (features, targets));
            let head = |draw| fit_probe(train, &arm.train, valid, draw, settings);
            draws.iter().map(|draw| scores(test, settings, &head(draw)?.logits(arm.test.view())?)).collect()
        };
        outcome.push(fraction, &draws, fit(arm)?, baseline.map(fit).transpose()?, settings)?;
    }
    Ok(outcome)
}
