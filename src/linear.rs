//! A linear evaluation from a folder of images to the files of `eval/`.

use std::path::{Path, PathBuf};

use backbones::{Network, NetworkConfig};
use cxr_data::{Dataset, LoadOptions, Manifest, OnBad, Part, Role, Subset, ViewConfig, check_patients, load_with};
use eval::{Curve, Evaluation, Scores, Stamp, roc_svg, write_predictions};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{
    ArmLogits, Error, FractionResult, Labelled, PretrainSettings, ProbeSettings, Result, adapt_statistics,
    evaluate_fraction, fit_draws, images, label_draws, scores,
};

/// Where the labelled images are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearData {
    /// Folder with the training part.
    pub train: PathBuf,
    /// Folder whose test part (or, where it has none, valid part) is reported on; the training folder without.
    pub test: Option<PathBuf>,
    /// Layout of both.
    pub dataset: Dataset,
    /// What becomes of an image that cannot be read.
    pub on_bad: OnBad,
}

/// One part of the data: a manifest and its readable rows.
#[derive(Debug)]
pub struct LoadedPart {
    /// The table.
    pub manifest: Manifest,
    /// Readable rows, ascending.
    pub rows: Vec<usize>,
    /// Which part it is.
    pub part: Part,
}

impl LinearData {
    /// Training part and the part reported on, after the check that they share no patient.
    ///
    /// # Errors
    /// Data that cannot be read, or a leak.
    pub fn load(&self, workers: usize, note: &mut dyn FnMut(&str)) -> Result<(LoadedPart, LoadedPart)> {
        let load = |dir: &Path, part, note: &mut dyn FnMut(&str)| {
            let (manifest, rows) = images::load(dir, self.dataset, part, self.on_bad, workers, note)?;
            Ok::<_, Error>(LoadedPart { manifest, rows, part })
        };
        let train = load(&self.train, Part::Train, note)?;
        let dir = self.test.as_ref().unwrap_or(&self.train);
        let part = match load_with(
            dir,
            self.dataset,
            Part::Test,
            &LoadOptions { on_bad: self.on_bad, ..Default::default() },
        ) {
            // Only a set that has no test part at all; a fault within one is a fault.
            Err(cxr_data::Error::Layout { .. }) => {
                note("no test part: results are those of the valid part, which nothing was chosen on");
                Part::Valid
            }
            _ => Part::Test,
        };
        let test = load(dir, part, note)?;
        leak_free(&[("train", Role::Train, &train.manifest), ("test", Role::Test, &test.manifest)], note)?;
        Ok((train, test))
    }
}

/// Fails when parts that must be disjoint share a patient.
///
/// # Errors
/// Names the patients.
pub(crate) fn leak_free(parts: &[(&str, Role, &Manifest)], note: &mut dyn FnMut(&str)) -> Result<()> {
    let subsets: Vec<Subset<'_>> =
        parts.iter().map(|&(name, role, manifest)| Subset { name, role, manifest }).collect();
    let report = check_patients(&subsets).require_clean()?;
    for part in &report.patients_unknown {
        note(&format!("patients of {part} are unknown: shared patients cannot be found"));
    }
    Ok(())
}

/// Fails when the images that a run was pretrained on share a patient with `test`, or are gone, so that nobody can say.
///
/// # Errors
/// Names the patients, or the data that could not be read.
pub fn check_against_pretraining(run: &Path, test: &LoadedPart, note: &mut dyn FnMut(&str)) -> Result<()> {
    let data = PretrainSettings::read(&run.join("config.toml"))?.data;
    let seen = cxr_data::load(&data.dir, data.dataset, Part::Train).map_err(|e| Error::Setting {
        key: format!("the pretraining data of {}", run.display()),
        found: e.to_string(),
        expected: "to read its patients, to be sure that none is in the test part (or --unchecked-pretraining)".into(),
    })?;
    leak_free(&[("pretraining", Role::Pretrain, &seen), ("test", Role::Test, &test.manifest)], note)
}

/// Features of the labelled images by one network.
#[derive(Debug)]
pub struct Arm {
    train: Array2<f32>,
    test: Array2<f32>,
}

impl Arm {
    /// Features by a trained network, as it is.
    ///
    /// # Errors
    /// An image that cannot be read, a device that fails.
    pub fn of(
        network: &Network,
        views: ViewConfig,
        train: &Labelled<'_>,
        test: &Labelled<'_>,
        settings: &ProbeSettings,
    ) -> Result<Self> {
        Ok(Self { train: train.features(network, views, settings)?, test: test.features(network, views, settings)? })
    }

    /// Features by a network of random weights whose running statistics were estimated on `images`.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn random(
        config: &NetworkConfig,
        seed: u64,
        device: &burn::tensor::Device,
        images: &LoadedPart,
        views: ViewConfig,
        (train, test): (&Labelled<'_>, &Labelled<'_>),
        settings: &ProbeSettings,
    ) -> Result<Self> {
        let mut network = config.init(seed, device);
        adapt_statistics(&mut network, &images.manifest, &images.rows, views, settings)?;
        Self::of(&network, views, train, test, settings)
    }
}

/// What a linear evaluation found.
#[derive(Debug)]
pub struct LinearOutcome {
    /// One entry a fraction.
    pub results: Vec<FractionResult>,
    /// Logits of the first arm: one entry a fraction, one matrix `[M, T]` a draw.
    pub logits: Vec<ArmLogits>,
    /// Logits of the baseline.
    pub baseline: Vec<ArmLogits>,
}

/// Fits heads on every draw of every fraction, and evaluates them.
///
/// # Errors
/// What the fits and the statistics say.
pub fn linear(
    train: &Labelled<'_>,
    test: &Labelled<'_>,
    arm: &Arm,
    baseline: Option<&Arm>,
    settings: &ProbeSettings,
) -> Result<LinearOutcome> {
    settings.validate()?;
    let mut outcome = LinearOutcome { results: Vec::new(), logits: Vec::new(), baseline: Vec::new() };
    for &fraction in &settings.fractions {
        let draws = label_draws(train, fraction, settings)?;
        let fit = |arm: &Arm| fit_draws(train, &arm.train, &arm.test, &draws, settings);
        let logits = fit(arm)?;
        let other = baseline.map(fit).transpose()?;
        outcome.results.push(evaluate_fraction(test, fraction, &draws, &logits, other.as_ref(), settings)?);
        outcome.logits.push(logits);
        outcome.baseline.extend(other);
    }
    Ok(outcome)
}

impl LinearOutcome {
    /// Writes, for every task, `predictions.csv` (the first draw of the largest fraction), `results.json`,
    /// `results.csv` and `roc.svg` into `out/TASK/`, and all fractions into `out/linear.json`. `out` must be new.
    ///
    /// # Errors
    /// A file that is there already, or what the disk says.
    pub fn write(&self, out: &Path, test: &Labelled<'_>, settings: &ProbeSettings, stamp: &Stamp) -> Result<()> {
        let largest =
            (0..settings.fractions.len()).max_by(|&a, &b| settings.fractions[a].total_cmp(&settings.fractions[b]));
        let Some(largest) = largest else { return Ok(()) };
        let evaluation = Evaluation { bootstrap: settings.bootstrap.clone(), ..Evaluation::default() };
        let all = scores(test, settings, &self.logits[largest][0])?;
        for task in &settings.tasks {
            let folder = out.join(folder_name(task));
            std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
            let one = all.select_tasks(&[task])?;
            write_predictions(&folder.join("predictions.csv"), &one)?;
            let results = evaluation.run(&[one], stamp.clone())?;
            results.write_json(&folder.join("results.json"))?;
            results.write_csv(&folder.join("results.csv"))?;
            let path = folder.join("roc.svg");
            eval::write_new(&path, self.roc(task, test, settings)?.as_bytes())?;
        }
        let text = serde_json::to_string_pretty(&self.results).unwrap_or_default();
        Ok(eval::write_new(&out.join("linear.json"), text.as_bytes())?)
    }

    /// ROC curves of one task: the first draw of every fraction.
    ///
    /// # Errors
    /// One class only.
    pub fn roc(&self, task: &str, test: &Labelled<'_>, settings: &ProbeSettings) -> Result<String> {
        let mut curves: Vec<(String, Vec<bool>, Vec<f64>)> = Vec::new();
        let arms = [(&self.logits, ""), (&self.baseline, ", random network")];
        for (fraction, i) in settings.fractions.iter().zip(0..) {
            for (arm, suffix) in arms.iter().filter_map(|(arm, suffix)| Some((arm.get(i)?, suffix))) {
                let scores: Vec<Scores> = vec![scores(test, settings, &arm[0])?];
                let (cohort, mut values) = Scores::cohort_of_draws(&scores, task)?;
                curves.push((
                    format!("{} %{suffix}", fraction * 100.0),
                    cohort.labels().to_vec(),
                    values.swap_remove(0),
                ));
            }
        }
        let curves: Vec<Curve<'_>> =
            curves.iter().map(|(name, labels, scores)| Curve { name, labels, scores }).collect();
        Ok(roc_svg(task, &curves)?)
    }
}

/// A task's name as a folder: `Pleural Effusion` becomes `pleural-effusion`.
fn folder_name(task: &str) -> String {
    task.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}
