//! The `export/` of a pretraining run.

use std::path::Path;

use backbones::{ExportInfo, Metric, Network, export as write_weights};
use moco_core::Best;

use crate::{
    data::Lineage,
    error::{Error, Result},
    files::RunFolder,
    pretrain::{PretrainSettings, probe::Probe},
    weights::EXPORT,
};

/// Writes `export/` of a run, in place of an older export of the same run.
pub(crate) fn export(
    folder: &RunFolder,
    settings: &PretrainSettings,
    (network, steps): (&Network, u64),
    chosen: Option<(&Probe, Best)>,
    lineage: &Lineage,
) -> Result<()> {
    let out = folder.join(EXPORT);
    if out.exists() {
        std::fs::remove_dir_all(&out).map_err(Error::io(&out))?;
    }
    let named =
        |dir: &Path| if settings.private { "a data set that is not named".to_owned() } else { folder_name(dir) };
    let mut data =
        format!("Images of {}, without labels, {} epochs.", named(&settings.data.dir), settings.train.epochs);
    if let Some(remark) = lineage.remark() {
        data += &format!(" {remark}");
    }
    let mut metrics = Vec::new();
    if let Some((probe, best)) = chosen {
        data += &format!(
            " Of these epochs the one was chosen that scored best for {} on labelled images of {}.",
            probe.task,
            named(&settings.probe.data)
        );
        let name = format!("AUROC, {}, nearest neighbours, on the images that the epoch was chosen by", probe.task);
        metrics.push(Metric { name, value: best.auc, interval: None });
    }
    let info = ExportInfo {
        name: format!("{}, pretrained on chest X-rays with momentum contrast", settings.arch),
        arch: settings.arch,
        channels: settings.channels,
        normalization: settings.normalization,
        image_size: settings.views.size,
        assumed: Vec::new(),
        resample: "bilinear".into(),
        labels: Vec::new(),
        data,
        data_licence: "that of the data set; it governs the use of these weights".into(),
        label_policy: None,
        licence: "other".into(),
        steps,
        metrics,
    };
    write_weights(&out, network, &info)?;
    lineage.write(&out, settings.private)
}

/// The last part of a path: what is above it is a matter of the machine, and often of a person.
fn folder_name(dir: &Path) -> String {
    let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    whole.file_name().map_or_else(|| "a folder".to_owned(), |name| name.to_string_lossy().into_owned())
}
