//! The table of a data set beside images. The first byte is the data set, the rest the table.

use std::{fs, hint::black_box};

use cxr_data::{Dataset, LabelPolicy, LoadOptions, Part, load_with};

use super::files::{folder, write, write_image};
use crate::Outcome;

/// A layout by the names of its table.
const LAYOUTS: [(Dataset, &str); 12] = [
    (Dataset::Folder, "labels.csv"),
    (Dataset::Chexpert, "train.csv"),
    (Dataset::ChexpertPlus, "df_chexpert_plus_240401.csv"),
    (Dataset::Mimic, "mimic-cxr-2.0.0-chexpert.csv"),
    (Dataset::Nih, "Data_Entry_2017.csv"),
    (Dataset::Padchest, "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"),
    (Dataset::Vindr, "image_labels_train.csv"),
    (Dataset::Rsna, "stage_2_train_labels.csv"),
    (Dataset::Openi, "indiana_projections.csv"),
    (Dataset::Brax, "master_spreadsheet_update.csv"),
    (Dataset::Tbx11k, "data.csv"),
    (Dataset::Covid, "metadata.csv"),
];

pub(crate) fn run(bytes: &[u8]) -> Outcome {
    let (&first, table) = bytes.split_first().ok_or("no bytes")?;
    let (dataset, name) = LAYOUTS[usize::from(first) % LAYOUTS.len()];
    let root = folder("loaders").join(name.replace('.', "-"));
    if !root.exists() {
        fs::create_dir_all(root.join("images")).map_err(|fault| fault.to_string())?;
        for image in ["a.png", "b.png", "images/a.png", "images/patient00001_study1.png"] {
            write_image(&root.join(image));
        }
    }
    write(&root.join(name), table);
    let options = LoadOptions { keep_missing: first & 0x80 != 0, ..LoadOptions::default() };
    let mut outcome = Ok(());
    for part in [Part::All, Part::Train] {
        match load_with(&root, dataset, part, &options) {
            Ok(manifest) => {
                let tasks: Vec<usize> = (0..manifest.tasks.len()).collect();
                for record in &manifest.records {
                    assert_eq!(record.labels.len(), tasks.len(), "a label for each task");
                }
                black_box((manifest.hash(), manifest.patient_count(), manifest.account.files()));
                if let Err(fault) = LabelPolicy::default().apply(&manifest, &tasks) {
                    outcome = Err(fault.to_string());
                }
            }
            Err(fault) => outcome = Err(fault.to_string()),
        }
    }
    outcome
}
