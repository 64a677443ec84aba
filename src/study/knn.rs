//! Evaluation by nearest neighbours, without training or tuning.

use eval::Knn;
use ndarray::Axis;

use crate::{
    data::{LabelDraw, label_draws},
    error::Result,
    study::{Method, Outcome, Study, arm::union, outcome::scores},
};

impl Study<'_> {
    /// Scores the test rows by their nearest labelled neighbours in feature space, for every draw of every fraction. The score
    /// of a row is the weighted share of positive neighbours, in [0, 1].
    ///
    /// # Errors
    /// As [`Knn::scores`]; a statistic that is undefined; an image that cannot be read; or a device error.
    pub fn knn(&self, neighbours: Knn) -> Result<Outcome> {
        let wanted = self.protocol.label_draws();
        let draws = self.protocol.fractions.iter();
        let draws = draws.map(|&fraction| Ok((fraction, label_draws(&self.train, fraction, wanted, 0)?)));
        let draws: Vec<(f64, Vec<LabelDraw>)> = draws.collect::<Result<_>>()?;
        let arm = self.arm(&union(draws.iter().flat_map(|(_, draws)| draws)))?;
        let targets = self.train.targets();
        let statistics = self.protocol.statistics;
        let mut outcome = self.outcome("knn", Method::Neighbours { neighbours, statistics });
        for (fraction, draws) in draws {
            let each = draws.iter().map(|draw| {
                let bank = arm.train.at(&draw.places)?;
                let labels = targets.select(Axis(0), &draw.places);
                scores(&self.test, &neighbours.scores(bank.view(), labels.view(), arm.test.values().view())?)
            });
            let model = each.collect::<Result<Vec<_>>>()?;
            outcome.push(fraction, &draws, model, None)?;
        }
        Ok(outcome)
    }
}
