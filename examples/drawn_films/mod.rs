//! A synthetic replacement for the Shenzhen set.

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use moco_cxr::cxr_data::{Dataset, Label, Part, load, synth};

/// Generates radiographs named like those of the Shenzhen set, one per patient, with effusions in place of tuberculosis;
/// returns their folder.
pub(crate) fn draw(out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let set = out.join("drawn");
    let config = synth::SynthConfig { seed: 2, train_patients: 1, valid_patients: 1, size: 64, ..Default::default() };
    synth::write(&synth::SynthConfig { test_patients: 300, ..config }, &set)?;
    let drawn = load(&set, Dataset::Chexpert, Part::Test)?;
    let effusion = drawn.task_indices(&["Pleural Effusion"])?[0];
    let films = out.join("ChinaSet_AllFiles/CXR_png");
    std::fs::create_dir_all(&films)?;
    let rows: Vec<usize> = (0..drawn.len()).collect();
    let first = drawn.patients(&rows).into_iter().map(|images| images[0]);
    let (ill, well): (Vec<usize>, Vec<usize>) =
        first.partition(|&row| drawn.records[row].labels[effusion] == Label::Positive);
    // Equally many with and without, as in the Shenzhen set.
    for (number, (&ill, &well)) in ill.iter().zip(&well).enumerate() {
        for (row, suffix) in [(ill, 1), (well, 0)] {
            let name = format!("CHNCXR_{:04}_{suffix}.jpg", 2 * number + suffix + 1);
            std::fs::copy(drawn.image_path(row), films.join(name))?;
        }
    }
    Ok(out.join("ChinaSet_AllFiles"))
}
