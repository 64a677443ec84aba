//! The `export/` of a pretraining run.

use backbones::{ExportInfo, Network, export as write_weights};

use crate::{
    data::Lineage,
    error::{Error, Result},
    files::RunFolder,
    pretrain::PretrainSettings,
    weights::EXPORT,
};

/// Writes `export/` of a run, in place of an older export of the same run.
pub(crate) fn export(
    folder: &RunFolder,
    settings: &PretrainSettings,
    network: &Network,
    steps: u64,
    lineage: &Lineage,
) -> Result<()> {
    let out = folder.join(EXPORT);
    if out.exists() {
        std::fs::remove_dir_all(&out).map_err(Error::io(&out))?;
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
        data: format!("Images of {}, without labels, {} epochs.", settings.data.dir.display(), settings.train.epochs),
        data_licence: "that of the data set; it governs the use of these weights".into(),
        label_policy: None,
        licence: "other".into(),
        steps,
        metrics: Vec::new(),
    };
    write_weights(&out, network, &info)?;
    lineage.write(&out)
}
