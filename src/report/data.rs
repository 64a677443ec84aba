//! The data: counts of images, patients and labels in each part, the findings of the audit, and views as training sees
//! them.

use std::{
    collections::BTreeMap,
    fmt::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use cxr_data::{AuditReport, BatchLoader, BatchOptions, LabelCounts, Manifest, OnBad, Part, SameGroup, preview};

use eval::chart::{escape, whole};

use super::{
    page::{DataTable, Section, command, figures},
    picture::Picture,
};
use crate::{
    data::{Sources, share_of},
    error::Result,
    files::{Watch, text_of},
    pretrain::{KeyFrom, PretrainSettings},
};

/// Number of pairs of views shown.
const PAIRS: usize = 8;

/// Counts for each part of a data set, and the report of its audit if the run has one.
#[derive(Debug, Default)]
pub(super) struct Data {
    parts: Vec<PartCounts>,
    /// Of several sets that were read as one: each part of each.
    of_sets: Vec<PartCounts>,
    audit: Option<AuditReport>,
}

#[derive(Debug)]
struct PartCounts {
    name: String,
    images: usize,
    patients: Option<usize>,
    studies: usize,
    labels: Vec<(String, LabelCounts)>,
}

impl PartCounts {
    fn of(name: impl Into<String>, manifest: &Manifest) -> Self {
        let all: Vec<usize> = (0..manifest.len()).collect();
        Self {
            name: name.into(),
            images: manifest.len(),
            patients: manifest.patients_known.then(|| manifest.patient_count()),
            studies: manifest.studies(&all).len(),
            labels: (0..manifest.tasks.len())
                .map(|task| (manifest.tasks[task].clone(), LabelCounts::of(manifest, task)))
                .collect(),
        }
    }
}

/// The counts of each part that the sources have; `of` stands behind its name.
fn counts(settings: &PretrainSettings, sources: &Sources, of: &str, watch: &dyn Watch) -> Vec<PartCounts> {
    let mut found = Vec::new();
    for (name, part) in [("train", Part::Train), ("valid", Part::Valid), ("test", Part::Test)] {
        match sources.table(&sources.train, part) {
            Ok(manifest) if manifest.is_empty() => {}
            Ok(manifest) if !manifest.has_parts && !matches!(settings.data.part, None | Some(Part::All)) => {
                for (name, part) in [("train", Part::Train), ("valid", Part::Valid), ("test", Part::Test)] {
                    match share_of(&manifest, part, settings.train.seed) {
                        Ok(rows) => found.push(PartCounts::of(format!("{name} share{of}"), &manifest.select(&rows))),
                        Err(fault) => watch.note(&format!("{name} share of {}: {fault}", sources.train.display())),
                    }
                }
            }
            Ok(manifest) => found.push(PartCounts::of(format!("{name}{of}"), &manifest)),
            // A set need not have every part.
            Err(cxr_data::Error::Layout { .. }) if part != Part::Train => {}
            Err(fault) => watch.note(&format!("{name} part of {}: {fault}", sources.train.display())),
        }
    }
    found
}

impl Data {
    /// Reads the counts from the tables of the sources, without opening an image, and `audit.json` of the run. A set without
    /// published parts is counted as the run divided it. In private, sets have numbers for names.
    pub(super) fn read(
        run: &Path,
        read: Option<(&PretrainSettings, &Sources)>,
        private: bool,
        watch: &dyn Watch,
    ) -> Self {
        let mut data = Self::default();
        if let Some((settings, sources)) = read {
            data.parts = counts(settings, sources, "", watch);
            if !sources.read.more.is_empty() {
                let dirs: Vec<&PathBuf> = std::iter::once(&sources.train).chain(&sources.read.more).collect();
                for (i, dir) in dirs.iter().enumerate() {
                    let mut alone = sources.clone();
                    alone.train.clone_from(dir);
                    alone.read.more.clear();
                    // The name alone: a path does not leave the house.
                    let name = match dir.file_name().filter(|_| !private) {
                        Some(name) if dirs.iter().any(|other| other != dir && other.file_name() == Some(name)) => {
                            format!("{} ({})", name.to_string_lossy(), i + 1)
                        }
                        Some(name) => name.to_string_lossy().into_owned(),
                        None => format!("set {}", i + 1),
                    };
                    data.of_sets.extend(counts(settings, &alone, &format!(", of {}", escape(&name)), watch));
                }
            }
        }
        if let Some(text) = text_of(&run.join("audit.json")) {
            match serde_json::from_str(&text) {
                Ok(audit) => data.audit = Some(audit),
                Err(e) => watch.note(&format!("audit.json: {e}")),
            }
        }
        data
    }

    /// The section of the page.
    pub(super) fn section(&self) -> Section {
        let missing = format!(
            "The data folder was not found; {} says where it is, {} adds the full audit.",
            command("moco-cxr report RUN --data DIR"),
            command("moco-cxr audit --data DIR --json > RUN/audit.json")
        );
        let empty = self.parts.is_empty() && self.audit.is_none();
        let lead = "Labels as recorded, before any label policy. Uncertain: the radiology report does not commit itself; not mentioned: it says \
             nothing about the finding.";
        let body = if empty { Err(missing) } else { Ok(self.body()) };
        Section { id: "data", title: "Data audit", lead: lead.to_owned(), body }
    }

    fn body(&self) -> String {
        let mut html = String::new();
        if !self.parts.is_empty() {
            let mut sizes =
                DataTable::new("Size").text("part").numbers("images").numbers("patients").numbers("studies");
            for part in self.parts.iter().chain(&self.of_sets) {
                let patients = part.patients.map_or_else(|| "unknown".to_owned(), |n| whole(n as f64));
                sizes.push([part.name.clone(), whole(part.images as f64), patients, whole(part.studies as f64)]);
            }
            html.push_str(&sizes.to_html());
            html.push_str(&self.labels());
        }
        html.push_str(&self.findings());
        html
    }

    /// One row per finding that occurs, one group of columns per part.
    fn labels(&self) -> String {
        let mut table = DataTable::new("Labels by image").text("finding");
        for part in &self.parts {
            for state in ["positive", "negative", "uncertain", "not mentioned"] {
                table = table.numbers(&format!("<span class=\"over\">{}</span> {state}", part.name));
            }
        }
        let Some(first) = self.parts.first() else { return String::new() };
        let mut left_out = 0;
        for (task, _) in &first.labels {
            let of = |part: &PartCounts| part.labels.iter().find(|(name, _)| name == task).map(|(_, counts)| *counts);
            let counts: Vec<LabelCounts> = self.parts.iter().map(|part| of(part).unwrap_or_default()).collect();
            if counts.iter().all(|c| c.positive == 0) {
                left_out += 1;
                continue;
            }
            let cells = counts.iter().flat_map(|c| [c.positive, c.negative, c.uncertain, c.not_mentioned]);
            table.push(std::iter::once(escape(task)).chain(cells.map(|n| whole(n as f64))));
        }
        if left_out == first.labels.len() {
            let none = "No label is read from the table of this set by itself, or none is positive anywhere; --task names the words or \
                        columns that an evaluation reads.";
            return format!("<p class=\"note\">{none}</p>");
        }
        let mut html = table.to_html();
        if left_out > 0 {
            let _ = write!(html, "<p class=\"note\">{left_out} findings without a positive image are left out.</p>");
        }
        html
    }

    fn findings(&self) -> String {
        let Some(audit) = &self.audit else {
            let how = command("moco-cxr audit --data DIR --json > RUN/audit.json");
            return format!(
                "<p class=\"note\">Images were not compared with each other; {how} checks for leaks, duplicates and unreadable files.</p>"
            );
        };
        // Kinds and counts: a page may leave the house, and lines of the audit name images and patients.
        let list = |title: &str, lines: Vec<String>| {
            let item = |(kind, count): (String, usize)| format!("<li>{}: {}</li>", escape(&kind), whole(count as f64));
            let items: String = kinds(&lines).into_iter().map(item).collect();
            if items.is_empty() { String::new() } else { format!("<p>{title}</p><ul>{items}</ul>") }
        };
        let (faults, warnings) = (audit.faults(), audit.warnings());
        let faults_or_warnings = !(faults.is_empty() && warnings.is_empty());
        let verdict = if faults.is_empty() {
            "<p class=\"verdict good\">The audit found no leak, no unreadable image, and no image filed under two patients.</p>".to_owned()
        } else {
            format!("<div class=\"verdict\">{}</div>", list("The audit failed:", faults))
        };
        let named = match faults_or_warnings {
            true => format!("<p class=\"note\">{} names the images.</p>", command("moco-cxr audit --data DIR")),
            false => String::new(),
        };
        verdict + &list("Worth a look:", warnings) + &named
    }
}

/// How many lines of an audit there are of each kind, which stands before the first colon. Lists that are cut say how much
/// more there is.
fn kinds(lines: &[String]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for line in lines {
        let kind = line.split(':').next().unwrap_or_default();
        let more = line.rsplit_once("(and ").and_then(|(_, rest)| rest.strip_suffix(" more like this)")?.parse().ok());
        *kinds.entry(kind.to_owned()).or_insert(0) += 1 + more.unwrap_or(0);
    }
    kinds
}

/// Pairs of views as training sees them.
#[derive(Debug, Default)]
pub(super) struct SampleViews {
    pairs: Vec<Picture>,
    size: usize,
}

impl SampleViews {
    /// The first pairs of the first epoch, with the run's settings and seed.
    ///
    /// # Errors
    /// Images that cannot be read.
    pub(super) fn draw(settings: &PretrainSettings, sources: &Sources) -> Result<Self> {
        let manifest = settings.listed_rows(sources)?;
        let batch_size = PAIRS.min(manifest.len());
        let options = BatchOptions { batch_size, workers: 1, ahead: 1, seed: settings.train.seed, on_bad: OnBad::Skip };
        let loader = BatchLoader::new(&manifest, settings.views, options)?;
        let all: Vec<usize> = (0..manifest.len()).collect();
        let loader = match settings.data.key_from {
            KeyFrom::Image => loader,
            KeyFrom::Study => loader.with_pairs(Arc::new(SameGroup::study(&manifest, &all))),
            KeyFrom::Patient => loader.with_pairs(Arc::new(SameGroup::patient(&manifest, &all))),
        };
        let Some(batch) = loader.pairs::<u8>(0, 0)?.next().transpose()? else { return Ok(Self::default()) };
        let pairs = (0..batch.rows.len()).map(|i| {
            let one = |views: &ndarray::Array3<u8>| views.slice(ndarray::s![i..=i, .., ..]).to_owned();
            let pair = cxr_data::PairBatch {
                query: one(&batch.query),
                key: one(&batch.key),
                rows: vec![batch.rows[i]],
                patients: vec![batch.patients[i]],
            };
            Ok(Picture::grey(&preview::pairs(&pair, 1)?))
        });
        Ok(Self { pairs: pairs.collect::<Result<_>>()?, size: settings.views.size })
    }

    /// The section of the page.
    pub(super) fn section(&self) -> Section {
        let lead = format!(
            "The first pairs of the first epoch, exactly as the network receives them ({0} × {0} pixels). Both views should be \
             recognisable as the same image; if they hardly differ, the task is too easy.",
            self.size
        );
        let missing =
            format!("{} adds them, if DIR holds the images of the run.", command("moco-cxr report RUN --data DIR"));
        let figure = |(i, picture): (usize, &Picture)| {
            format!(
                "<figure>{}</figure>",
                picture.img(&format!("Query view (left) and key view (right) of image {}", i + 1))
            )
        };
        let body = if self.pairs.is_empty() {
            Err(missing)
        } else {
            Ok(figures("sheet", self.pairs.iter().enumerate().map(figure)))
        };
        Section { id: "views", title: "Sample views", lead, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_is_told_by_kinds_and_counts() {
        let lines = [
            "leak: train and test share 1 patient(s): p7",
            "unreadable: a.png",
            "unreadable: b.png (and 3 more like this)",
        ];
        let found = kinds(&lines.map(str::to_owned));
        assert_eq!(found, [("leak".to_owned(), 1), ("unreadable".to_owned(), 5)].into());
    }

    #[test]
    fn findings_that_never_occur_are_counted_not_listed() {
        let counts = |positive| LabelCounts { positive, negative: 5, uncertain: 1, not_mentioned: 0 };
        let labels = vec![("Edema".to_owned(), counts(3)), ("Fracture".to_owned(), counts(0))];
        let part = PartCounts { name: "train".into(), images: 1234, patients: None, studies: 9, labels };
        let data = Data { parts: vec![part], ..Data::default() };
        let html = data.section().body.expect("a body");
        assert!(html.contains("Edema") && !html.contains("Fracture") && html.contains("1 findings without"), "{html}");
        assert!(html.contains("1,234") && html.contains("unknown") && html.contains("moco-cxr audit"), "{html}");
        // A set without labels has no empty table.
        let unlabelled = PartCounts { name: "train".into(), images: 3, patients: None, studies: 3, labels: Vec::new() };
        let html = Data { parts: vec![unlabelled], ..Data::default() }.section().body.expect("a body");
        assert!(!html.contains("Labels by image") && html.contains("No label is read"), "{html}");
        assert!(Data::default().section().body.expect_err("nothing").contains("--data DIR"));
    }
}
