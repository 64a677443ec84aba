//! An evaluation by nearest neighbours: nothing is trained, nothing chosen.

use eval::Knn;
use ndarray::Axis;

use crate::{
    data::{Labelled, plain_draws},
    error::Result,
    study::{Arm, Outcome, ProbeSettings, scores},
};

/// Scores the test rows by their nearest labelled neighbours in feature space, on every draw of every fraction. The score
/// of a row is a weighted share of positives, in [0, 1].
///
/// # Errors
/// What [`Knn::scores`] and the statistics say.
pub fn knn(
    train: &Labelled<'_>,
    test: &Labelled<'_>,
    arm: &Arm,
    neighbours: Knn,
    settings: &ProbeSettings,
) -> Result<Outcome> {
    settings.validate()?;
    let targets = train.targets();
    let mut outcome = Outcome::default();
    for &fraction in &settings.fractions {
        let draws = plain_draws(train, fraction, settings)?;
        let each = draws.iter().map(|draw| {
            let (bank, labels) = (arm.train.select(Axis(0), &draw.places), targets.select(Axis(0), &draw.places));
            scores(test, settings, &neighbours.scores(bank.view(), labels.view(), arm.test.view())?)
        });
        let model = each.collect::<Result<Vec<_>>>()?;
        outcome.push(fraction, &draws, model, None, settings)?;
    }
    Ok(outcome)
}
