//! The files of an explanation: pictures, numbers and a table.

use std::path::Path;

use eval::{Table, write_new};
use image::ExtendedColorType;
use serde_json::json;

use super::Explanation;
use crate::{
    data::{folder_name, recorded},
    error::Result,
    files::{NewFolder, Npy, png},
    study::{
        overlay::{in_grey, overlay},
        sheet::Sheet,
    },
};

impl Explanation {
    /// Writes into `out`, which must be new or empty:
    ///
    /// - `explain.csv`, a line for each heat map: image, task, logit, probability, label (1, 0, -1 for uncertain, empty if not
    ///   known), chosen (why this image), file,
    /// - the files it names: the image as the network sees it, overlaid with the map,
    /// - `maps.npy`, `[N, h, w]` in f32, in the order of the lines and not scaled: compare values only within an image,
    /// - `sheet.png`, each image with its overlay to the right, a row for each image or task,
    /// - `explain.json`, weights and data.
    ///
    /// Either everything is written or nothing.
    ///
    /// # Errors
    /// The folder is not empty, or an I/O error.
    pub fn write(&self, out: impl AsRef<Path>) -> Result<()> {
        let folder = NewFolder::begin(out.as_ref())?;
        let (manifest, side) = (self.rows.manifest(), self.network.views.size);
        let longest = self.lines.iter().map(Vec::len).max().unwrap_or_default();
        let mut sheet = Sheet::new(side, self.lines.len(), 2 * longest, |column| column / 2);
        let (height, width) = self.lines.iter().flatten().next().map_or((0, 0), |heat| heat.map.dim());
        let mut maps = Npy::create(&folder.path().join("maps.npy"), &[self.maps(), height, width])?;
        let mut table = Table::new(["image", "task", "logit", "probability", "label", "chosen", "file"]);
        for (line, heats) in self.lines.iter().enumerate() {
            for (place, heat) in heats.iter().enumerate() {
                let (task, record) = (&self.network.labels[heat.pick.task], &manifest.records[heat.pick.row]);
                let Some(view) = self.views.get(&heat.pick.row) else { continue };
                let picture = overlay(view.view(), heat.map.view());
                let file = format!("{:04}-{}.png", table.rows().len() + 1, folder_name(task));
                let bytes = png(&picture, side, side, ExtendedColorType::Rgb8)?;
                write_new(&folder.path().join(&file), &bytes)?;
                sheet.place(line, 2 * place, &in_grey(view.view()));
                sheet.place(line, 2 * place + 1, &picture);
                maps.append(&heat.map.mapv(|value| value as f32))?;
                let label = manifest.task_indices(&[task]).map_or("", |columns| recorded(record, columns[0]));
                let probability = 1.0 / (1.0 + (-heat.logit).exp());
                table.push([
                    &record.path,
                    task,
                    &heat.logit.to_string(),
                    &probability.to_string(),
                    label,
                    heat.pick.chosen,
                    &file,
                ]);
            }
        }
        maps.finish()?;
        let about = json!({
            "moco_cxr": env!("CARGO_PKG_VERSION"),
            "method": "Grad-CAM of the logit, last feature maps",
            "weights": self.network.provenance,
            "trained_on": self.network.lineage,
            "data": self.rows.origin(),
        });
        let about = serde_json::to_string_pretty(&about).unwrap_or_default();
        write_new(&folder.path().join("explain.json"), about.as_bytes())?;
        write_new(&folder.path().join("explain.csv"), table.to_csv().as_bytes())?;
        write_new(&folder.path().join("sheet.png"), &sheet.png()?)?;
        folder.finish()
    }
}
