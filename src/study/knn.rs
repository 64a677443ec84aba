//! Evaluation by nearest neighbours, without training or tuning.

use eval::Knn;
use ndarray::Axis;

use crate::{
    data::label_draws,
    error::Result,
    study::{Method, Outcome, Study, outcome::scores},
};

impl Study<'_> {
    /// Scores the test rows by their nearest labelled neighbours in feature space, for every draw of every fraction. The score
    /// of a row is the weighted share of positive neighbours, in [0, 1].
    ///
    /// # Errors
    /// As [`Knn::scores`]; a statistic that is undefined; an image that cannot be read; or a device error.
    pub fn knn(&self, neighbours: Knn) -> Result<Outcome> {
        let arm = self.arm()?;
        let targets = self.train.targets();
        let mut outcome = self.outcome("knn", Method::Neighbours(neighbours));
        for &fraction in &self.protocol.fractions {
            let draws = label_draws(&self.train, fraction, self.protocol.label_draws(), 0)?;
            let each = draws.iter().map(|draw| {
                let bank = arm.train.values().select(Axis(0), &draw.places);
                let labels = targets.select(Axis(0), &draw.places);
                scores(&self.test, &neighbours.scores(bank.view(), labels.view(), arm.test.values().view())?)
            });
            let model = each.collect::<Result<Vec<_>>>()?;
            outcome.push(fraction, &draws, model, None)?;
        }
        Ok(outcome)
    }
}
