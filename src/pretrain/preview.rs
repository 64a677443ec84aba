//! The views of a run, to look at before it is started.

use cxr_data::PairBatch;

use crate::{
    error::{Error, Result},
    files::Watch,
    pretrain::{PretrainSettings, TrainImages, loader},
};

/// The pairs of views that [`pretrain`](crate::pretrain()) trains on with these settings in batch `batch` of epoch `epoch`, both
/// counted from 0, byte for byte.
///
/// # Errors
/// As [`pretrain`](crate::pretrain()), and a batch beyond the end of the epoch.
pub fn preview(settings: &PretrainSettings, epoch: u64, batch: usize, watch: &dyn Watch) -> Result<PairBatch> {
    settings.validate()?;
    let images = TrainImages::sample(settings, watch)?;
    let mut loader = loader(settings, &images)?.pairs(epoch, batch)?;
    let batches = batch + loader.len();
    let none = || Error::Setting {
        key: "batch".into(),
        found: format!("{batch} of an epoch of {batches}"),
        expected: format!("0 to {}", batches.saturating_sub(1)),
    };
    Ok(loader.next().ok_or_else(none)??)
}
