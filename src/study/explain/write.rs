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
        sheet::{MOST_COLUMNS, Plan, Sheet},
    },
};

/// Lines of a caption for the path of an image.
const NAME_LINES: usize = 2;
/// Images with their overlays in a row of the sheet.
const MOST_PAIRS: usize = MOST_COLUMNS / 2;

impl Explanation {
    /// Writes into `out`, which must be new or empty:
    ///
    /// - `explain.csv`, a line for each heat map: image, task, logit, probability, label (1, 0, -1 for uncertain, empty if not
    ///   known), chosen (why this image), file,
    /// - the files it names: the image as the network sees it, overlaid with the map,
    /// - `maps.npy`, `[N, h, w]` in f32, in the order of the lines and not scaled: compare values only within an image,
    /// - `sheet.png`, each image with its overlay to the right, and task, probability, why it was chosen and its path below; a row
    ///   for each image or task, or several, of at most 16, as far as 64 million pixels have room for them,
    /// - `explain.json`, weights and data.
    ///
    /// Either everything is written or nothing. Returns the number of heat maps on the sheet.
    ///
    /// # Errors
    /// The folder is not empty, or an I/O error.
    pub fn write(&self, out: impl AsRef<Path>) -> Result<usize> {
        let folder = NewFolder::begin(out.as_ref())?;
        let (manifest, side) = (self.rows.manifest(), self.network.views.size);
        let rows = rows_of(&self.lines);
        let longest = rows.iter().map(|row| row.len()).max().unwrap_or_default();
        let heading = self.heading();
        let mut sheet = Sheet::new(Plan {
            side,
            rows: rows.len(),
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
        let mut shown = 0;
        for (line, heats) in rows.into_iter().enumerate() {
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
                shown += usize::from(sheet.has(line, 2 * place + 1));
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
        folder.finish()?;
        Ok(shown)
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

/// The rows of the sheet: a line that is too long goes on in the next row.
fn rows_of<T>(lines: &[Vec<T>]) -> Vec<&[T]> {
    lines.iter().flat_map(|line| line.chunks(MOST_PAIRS)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_goes_on_in_the_next_row() {
        let lines: Vec<Vec<usize>> = [19, 16, 1].map(|long| (0..long).collect()).to_vec();
        let rows = rows_of(&lines);
        assert_eq!(rows.iter().map(|row| row.len()).collect::<Vec<_>>(), [16, 3, 16, 1]);
        assert_eq!(rows[1], [16, 17, 18]);
    }
}
