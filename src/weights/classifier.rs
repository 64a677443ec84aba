//! What the `export/` of a classifier that was trained with labels says of itself.

use backbones::{ExportInfo, Metric};
use eval::Stamp;

use crate::{
    study::{Outcome, ProbeSettings},
    weights::LoadedNetwork,
};

/// Of the first draw of the largest fraction. `name` and `how` say how it was trained, `steps` how long.
pub(crate) fn classifier_info(
    (name, how, steps): (&str, &str, u64),
    start: &LoadedNetwork,
    outcome: &Outcome,
    probe: &ProbeSettings,
    stamp: &Stamp,
) -> ExportInfo {
    let results = outcome.largest().map(|place| &outcome.results[place]);
    let images = results.map_or(0.0, |result| result.images);
    let metrics = results.into_iter().flat_map(|result| {
        let draws = result.draws;
        let draws = if draws > 1 { format!(", mean of {draws} label draws") } else { String::new() };
        let rows = if probe.fold_studies { "studies" } else { "images" };
        result.tasks.iter().map(move |task| Metric {
            name: format!(
                "AUROC, {}, {} patients ({} {rows}), {} % of the training patients labelled{draws}",
                task.task,
                task.auroc.patients,
                task.auroc.n,
                result.fraction * 100.0,
            ),
            value: task.auroc.estimate,
            interval: Some((task.auroc.lower, task.auroc.upper, task.auroc.level)),
        })
    });
    ExportInfo {
        name: format!("{}, {name} on chest X-rays", start.config.arch),
        arch: start.config.arch,
        channels: start.config.channels,
        normalization: start.config.normalization,
        image_size: start.views.size,
        resample: "bilinear".into(),
        labels: probe.tasks.clone(),
        data: format!(
            "Begun from {}. Trained with labels on {images:.0} images: {how}. {}.",
            start.provenance,
            stamp.split.as_deref().unwrap_or_default(),
        ),
        data_licence: "that of the data set; it governs the use of these weights".into(),
        label_policy: Some(probe.policy.to_string()),
        licence: "other".into(),
        steps,
        metrics: metrics.collect(),
    }
}
