//! The training, validation and test parts of an evaluation. No patient and no image is in two of them.

use std::{path::Path, sync::Arc};

use cxr_data::{OnBad, Part, Record, Role, ViewConfig, splits::patient_split};
use sha2::{Digest, Sha256};

use crate::{
    data::{
        DrawRule, Rows, Sources, ValidFrom,
        leaks::{Side, leak_free},
        shares::shares,
    },
    error::{Error, Result},
    files::{Once, Watch},
};

/// Share of the training patients held out for validation if no validation part was published.
const HELD_OUT: f64 = 0.2;

/// The parts of an evaluation, which share no patient and no image.
#[derive(Debug, Clone)]
pub struct Parts {
    train: Arc<Rows>,
    valid: Option<Arc<Rows>>,
    test: Arc<Rows>,
    held_out: bool,
    on_bad: OnBad,
}

impl Sources {
    /// Reads the training and test parts, and validation rows as [`Sources::valid`] requests, and checks that no two parts
    /// share a patient, a file or an image. A set without published parts (Shenzhen, Montgomery, a folder without
    /// `train.csv`) and without a test folder is divided by patient, 65 / 15 / 20 from `seed`; Shenzhen by the rules of the
    /// paper's script. Images prepared for `views` are kept in memory if they fit.
    ///
    /// # Errors
    /// Data that cannot be read, a leak, or a requested validation part that does not exist.
    pub fn parts(&self, seed: u64, views: Option<&ViewConfig>, watch: &dyn Watch) -> Result<Parts> {
        self.reading.validate()?;
        let watch = &Once::new(watch); // one folder may be read for several parts
        let train = Arc::new(self.rows_of(&self.train, Part::Train, views, watch)?);
        let parts = if self.test.is_none() && !train.manifest().has_parts {
            self.divided(&train, seed, views, watch)?
        } else {
            self.published(train, seed, views, watch)?
        };
        parts.leak_free(watch).map_err(|fault| self.way_out(fault))?;
        Ok(parts)
    }

    /// A leak between the parts that one folder has, with what can be done about it.
    fn way_out(&self, fault: Error) -> Error {
        let elsewhere = self.test.is_some() || matches!(self.valid, ValidFrom::Folder(_)) || !self.read.more.is_empty();
        match fault {
            Error::Data(cxr_data::Error::Leak(text)) if !elsewhere => {
                let dir = self.train.display();
                Error::Data(cxr_data::Error::Leak(format!(
                    "{text} (these are the parts that the set has: leave what is shared out of one of them, or divide all of it \
                     by patient with `moco-cxr splits --kind patients --data {dir} --out parts`, and add \
                     --table parts/parts.csv to every command)"
                )))
            }
            other => other,
        }
    }

    fn published(
        &self,
        mut train: Arc<Rows>,
        seed: u64,
        views: Option<&ViewConfig>,
        watch: &dyn Watch,
    ) -> Result<Parts> {
        let dir = self.test.as_ref().unwrap_or(&self.train);
        let (part, read) = match self.table_for(dir, Part::Test) {
            // Only for a set without a test part; any other error is reported when the part is read.
            Err(cxr_data::Error::Layout { .. }) => {
                watch.note("no test part: results are for the valid part, which is not used for any choice");
                (Part::Valid, Part::Valid)
            }
            Ok((_, read)) => (Part::Test, read),
            Err(_) => (Part::Test, Part::Test),
        };
        let test = self.rows_of(dir, read, views, watch)?.in_place_of(part);
        let read_valid = |dir: &Path| self.valid_rows(dir, views, watch);
        let (valid, held_out) = match &self.valid {
            ValidFrom::Nowhere => (None, false),
            ValidFrom::Folder(dir) => (Some(read_valid(dir)?), false),
            ValidFrom::HeldOut if self.has_valid_part(&train.manifest().records, &test.manifest().records)? => {
                (Some(read_valid(&self.train)?), false)
            }
            ValidFrom::HeldOut => {
                let parts = patient_split(train.manifest(), &[1.0 - HELD_OUT, HELD_OUT], seed)?;
                let held_out = train.select(&parts[1], Part::Valid);
                train = Arc::new(train.select(&parts[0], Part::Train));
                let [fitted, chosen] = [&*train, &held_out].map(|rows| rows.manifest().patient_count());
                watch.note(&format!(
                    "no valid part for choosing a penalty or checkpoint: {chosen} of {} training patients are held out for that",
                    chosen + fitted,
                ));
                (Some(Arc::new(held_out)), true)
            }
        };
        Ok(Parts { train, valid, test: Arc::new(test), held_out, on_bad: self.on_bad })
    }

    /// Whether the training folder has a valid part that is neither its training part nor the part reported on.
    fn has_valid_part(&self, train: &[Record], reported: &[Record]) -> Result<bool> {
        match self.table(&self.train, Part::Valid) {
            Ok(rows) => Ok(rows.records != reported && rows.records != train),
            Err(cxr_data::Error::Layout { .. }) => Ok(false),
            Err(fault) => Err(fault.into()),
        }
    }

    /// The valid part of a folder that was named for it, or all of it.
    pub(crate) fn valid_rows(&self, dir: &Path, views: Option<&ViewConfig>, watch: &dyn Watch) -> Result<Arc<Rows>> {
        let read = self.table_for(dir, Part::Valid).map_or(Part::Valid, |(_, read)| read);
        Ok(Arc::new(self.rows_of(dir, read, views, watch)?.in_place_of(Part::Valid)))
    }

    fn divided(&self, all: &Arc<Rows>, seed: u64, views: Option<&ViewConfig>, watch: &dyn Watch) -> Result<Parts> {
        let split = shares(all.manifest(), seed)?;
        let share = |rows: &[usize], part| Arc::new(all.select(rows, part).divided_by(seed));
        let train = share(&split.train, Part::Train);
        let held_out = share(&split.valid, Part::Valid);
        let test = share(&split.test, Part::Test);
        watch.note(&format!(
            "the data set has no published parts: divided by patient (seed {seed}) into {} training, {} validation and {} test images; pretrain --part train --seed {seed} takes the same training images",
            train.readable().len(),
            held_out.readable().len(),
            test.readable().len(),
        ));
        let valid = match &self.valid {
            ValidFrom::Nowhere => None,
            ValidFrom::Folder(dir) if !same_folder(dir, &self.train) => Some(self.valid_rows(dir, views, watch)?),
            _ => Some(held_out),
        };
        Ok(Parts { train, valid, test, held_out: false, on_bad: self.on_bad })
    }
}

impl Parts {
    /// The training part.
    pub fn train(&self) -> &Arc<Rows> {
        &self.train
    }

    /// The validation part, for choosing a penalty or checkpoint; never reported on.
    pub fn valid(&self) -> Option<&Arc<Rows>> {
        self.valid.as_ref()
    }

    /// The part reported on.
    pub fn test(&self) -> &Arc<Rows> {
        &self.test
    }

    /// The parts that the weights must not have been trained on, with name and role: the test part, and the validation part
    /// unless it was held out of the training part, which the weights may have seen.
    pub(crate) fn never_seen(&self) -> Vec<(&'static str, Role, &Rows)> {
        let valid = self.valid.iter().filter(|_| !self.held_out).map(|valid| ("valid", Role::Valid, &**valid));
        [("test", Role::Test, &*self.test)].into_iter().chain(valid).collect()
    }

    /// Rows and their use, for the stamp of results. Two are equal if all parts hold the same rows with the same labels,
    /// wherever the folders are and however the parts were made.
    pub fn split(&self) -> String {
        let chosen = match (&self.valid, self.held_out) {
            (None, _) => "",
            (Some(_), false) => ", chosen on valid",
            (Some(_), true) => ", chosen on patients held out of train",
        };
        let part = if self.test.part() == Part::Test { "test" } else { "valid" };
        format!("fit on train{chosen}, reported on {part}, data {}", self.hash())
    }

    /// `known`, or `unknown in` and the parts.
    pub(crate) fn patients(&self) -> String {
        let unknown: Vec<&str> =
            self.named().filter(|(.., rows)| !rows.manifest().patients_known).map(|(name, ..)| name).collect();
        if unknown.is_empty() { "known".to_owned() } else { format!("unknown in {}", unknown.join(", ")) }
    }

    /// Checks that these parts support the label draws: the paper's draws need every row of `train.csv`.
    ///
    /// # Errors
    /// The paper's draws, if patients were held out of the training part or rows without an image are skipped.
    pub(crate) fn check_draws(&self, rule: DrawRule) -> Result<()> {
        let fault = |found: &str, expected: &str| {
            Err(Error::Setting { key: "label draws: paper".into(), found: found.into(), expected: expected.into() })
        };
        match rule {
            DrawRule::Paper if self.held_out => fault(
                "patients held out of the training part for validation",
                "all of train.csv: give validation data (--valid-data), or test data (--test-data), which leaves the valid part for validation",
            ),
            DrawRule::Paper if self.on_bad == OnBad::Skip => {
                fault("rows without an image are skipped", "every row of train.csv (--on-bad-image fail)")
            }
            _ => Ok(()),
        }
    }

    /// The parts by name and role.
    pub(super) fn named(&self) -> impl Iterator<Item = (&'static str, Role, &Arc<Rows>)> {
        let valid = self.valid.iter().map(|valid| ("valid", Role::Valid, valid));
        [("train", Role::Train, &self.train), ("test", Role::Test, &self.test)].into_iter().chain(valid)
    }

    /// Checks that no patient, file or image is in two parts.
    fn leak_free(&self, watch: &dyn Watch) -> Result<()> {
        let named: Vec<_> = self.named().map(|(name, role, rows)| (name, role, rows, rows.pixels())).collect();
        let sides: Vec<Side<'_>> =
            named.iter().map(|(name, role, rows, pixels)| (*name, *role, rows.manifest(), &pixels[..])).collect();
        leak_free(&sides, watch)
    }

    /// Identity of all parts together: 128 bits of the SHA-256 of their hashes, in hex.
    fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, _, rows) in self.named() {
            hasher.update(format!("{name} {}\n", rows.manifest().hash()));
        }
        hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Whether two paths lead to the same folder.
fn same_folder(one: &Path, other: &Path) -> bool {
    one == other || one.canonicalize().ok().zip(other.canonicalize().ok()).is_some_and(|(one, other)| one == other)
}
