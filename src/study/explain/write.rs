//! The files of an explanation: pictures, numbers and a table.

use std::path::Path;

use eval::{Table, write_new};
use image::ExtendedColorType;
use serde_json::json;

use super::Explanation;
use crate::{
    data::{DRAWN, folder_name, recorded},
    error::Result,
    files::{NewFolder, Npy, png},
    study::{
        lettering::{in_lines, told_apart},
        overlay::{in_grey, overlay},
        sheet::{Plan, Sheet},
    },
};

/// Lines of a caption for the path of an image.
const NAME_LINES: usize = 2;

impl Explanation {
    /// Writes into `out`, which must be new or empty:
    ///
    /// - `explain.csv`, a line for each heat map: image, task, logit, probability, label (1, 0, -1 for uncertain, empty if not
    ///   known), chosen (why this image), file,
    /// - the files it names: the image as the network sees it, overlaid with the map,
    /// - `maps.npy`, `[N, h, w]` in f32, in the order of the lines and not scaled: compare values only within an image,
    /// - `sheet.png`, each image with its overlay to the right, and task, probability, why it was chosen and its path below; a row
    ///   for each image or task,
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
        let heading = self.heading();
        let mut sheet = Sheet::new(Plan {
            side,
            rows: self.lines.len(),
            columns: 2 * longest,
            groups: |column| column / 2,
            lines: if self.private { 2 } else { 2 + NAME_LINES },
            span: 2,
            heading: &heading,
        });
        let paths: Vec<&str> =
            self.lines.iter().flatten().map(|heat| manifest.records[heat.pick.row].path.as_str()).collect();
        let mut names = told_apart(&paths).into_iter();
        let (height, width) = self.lines.iter().flatten().next().map_or((0, 0), |heat| heat.map.dim());
        let mut maps = Npy::create(&folder.path().join("maps.npy"), &[self.maps(), height, width])?;
        let mut table = Table::new(["image", "task", "logit", "probability", "label", "chosen", "file"]);
        for (line, heats) in self.lines.iter().enumerate() {
            for (place, heat) in heats.iter().enumerate() {
                let (task, record) = (&self.network.labels[heat.pick.task], &manifest.records[heat.pick.row]);
                let name = names.next();
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
                let mut caption =
                    vec![format!("p = {probability:.2}  {task}"), in_words(heat.pick.chosen, label).to_owned()];
                let name = name.filter(|_| !self.private);
                caption.extend(name.into_iter().flat_map(|name| in_lines(&name, sheet.letters(2 * place), NAME_LINES)));
                sheet.caption(line, 2 * place, &caption);
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

    /// How to read the sheet.
    fn heading(&self) -> String {
        let drawn = if self.rows.origin().synthetic { format!("{DRAWN}. ") } else { String::new() };
        format!(
            "{drawn}Left: the image as the network sees it. Right: with its Grad-CAM heat map, scaled to its own maximum; it shows \
             what the network used, not where a disease is. p: probability by the classifier."
        )
    }
}

/// Why an image is on the sheet; of one that was named, what is known of it.
fn in_words<'a>(chosen: &'a str, label: &str) -> &'a str {
    match (chosen, label) {
        // A line of a caption is shorter than a cell of the table.
        ("not labelled with the finding, highest score", _) => "not labelled with it, highest score",
        ("named", "1") => "with the finding",
        ("named", "0") => "without the finding",
        ("named", "-1") => "uncertain",
        ("named", _) => "not labelled",
        _ => chosen,
    }
}
