//! Groups of batch normalisation, as many at least as there are ranks.

use crate::{
    error::{Error, Result},
    files::Watch,
    pretrain::PretrainSettings,
};

/// Settings for a number of ranks, whose parts of a batch are normalised apart: there are as many groups at least.
pub(super) fn for_ranks(mut settings: PretrainSettings, ranks: usize, notes: &dyn Watch) -> Result<PretrainSettings> {
    let train = &mut settings.train;
    if !train.batch_size.is_multiple_of(ranks) {
        return Err(Error::Setting {
            key: "train.batch_size".into(),
            found: format!("{} for {ranks} ranks", train.batch_size),
            expected: "a multiple of the number of ranks: it is the size of the whole batch".into(),
        });
    }
    let groups = train.moco.groups;
    if groups.is_multiple_of(ranks) {
        return Ok(settings);
    }
    let [before, now] = [train.batch_size / groups.max(1), train.batch_size / ranks];
    train.moco.groups = ranks;
    train.moco.validate(train.batch_size)?;
    notes.note(&format!(
        "batch normalisation over {now} images at a time instead of {before} (train.moco.groups {groups} -> {ranks}, one for each \
         rank): statistics, and with them the results, are not those of {groups} group(s)"
    ));
    Ok(settings)
}
