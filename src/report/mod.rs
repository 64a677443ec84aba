//! One self-contained HTML page of a run. Nothing is fetched, no script runs; what a run does not hold is said in one line.
//!
//! [`Report::read`] gathers what lies in the folders, each part in its file; [`Report::to_html`] sets the page
//! (`page.rs`, `style.css`), with charts drawn by `chart.rs`.

mod axis;
mod chart;
mod configuration;
mod curves;
mod data;
mod definitions;
mod evaluation;
mod feature_map;
mod fractions;
mod groups;
mod heat_maps;
mod page;
mod picture;
mod results_table;
mod training;

use std::{
    fs,
    path::{Path, PathBuf},
};

use eval::Bootstrap;

use crate::{
    device::DeviceChoice,
    error::{Error, Result},
    pretrain::PretrainSettings,
};
use configuration::Configuration;
use data::{Data, SampleViews};
use evaluation::Evaluations;
use feature_map::FeatureMap;
use heat_maps::HeatMaps;
use page::{Section, escape, page};
pub use results_table::results_table;
use training::Training;

/// What a report is made of, besides the folder of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportOptions {
    /// Folders that `linear` and `finetune` left. Empty: `eval`, `linear`, `knn` and `finetune` in the run's folder, where
    /// they are.
    pub eval: Vec<PathBuf>,
    /// Folder of images; the run's own without.
    pub data: Option<PathBuf>,
    /// Computes features and heat maps anew, on up to [`Self::images`] images.
    pub features: bool,
    /// Images of the map of the features, and among which those of the heat maps are chosen; at least 3.
    pub images: usize,
    /// How intervals and bands are made.
    pub bootstrap: Bootstrap,
    /// Where features are computed.
    pub device: DeviceChoice,
}

impl Default for ReportOptions {
    /// The run's own folders and data, nothing computed anew, 500 images, 1000 bootstrap replicates.
    fn default() -> Self {
        Self {
            eval: Vec::new(),
            data: None,
            features: false,
            images: 500,
            bootstrap: Bootstrap { replicates: 1000, ..Bootstrap::default() },
            device: DeviceChoice::default(),
        }
    }
}

/// All that is known of a run.
#[derive(Debug)]
pub struct Report {
    /// Heading of the page.
    pub title: String,
    /// One paragraph under it, plain text.
    pub summary: String,
    configuration: Configuration,
    data: Data,
    views: SampleViews,
    training: Training,
    map: FeatureMap,
    evaluations: Evaluations,
    heat_maps: HeatMaps,
    notes: Vec<String>,
}

impl Report {
    /// Gathers what the folder of a run and its evaluations hold. A file that is absent, cut short or damaged costs its
    /// section, and is noted on the page where it is there and cannot be read.
    ///
    /// # Errors
    /// A folder that holds no run; settings of the bootstrap out of range.
    pub fn read(run: &Path, options: &ReportOptions) -> Result<Self> {
        options.bootstrap.validate()?;
        let eval = if options.eval.is_empty() {
            ["eval", "linear", "knn", "finetune"]
                .map(|name| run.join(name))
                .into_iter()
                .filter(|f| f.is_dir())
                .collect()
        } else {
            options.eval.clone()
        };
        if let Some(absent) = eval.iter().find(|folder| !folder.is_dir()) {
            let (found, expected) = ("no such folder".to_owned(), "what linear or finetune left".to_owned());
            return Err(Error::Setting { key: absent.display().to_string(), found, expected });
        }
        let is_run = ["config.toml", "run.json", "metrics.jsonl"].iter().any(|file| run.join(file).is_file());
        if !is_run && options.eval.is_empty() {
            return Err(Error::NotARun { path: run.into() });
        }
        let mut notes = Vec::new();
        let mut note = |text: &str| notes.push(text.to_owned());
        let configuration = Configuration::read(run, &mut note);
        let settings = PretrainSettings::read(&run.join("config.toml")).ok();
        let dir = options.data.clone().or_else(|| Some(settings.as_ref()?.data.dir.clone())).filter(|dir| dir.is_dir());
        if let (Some(asked), None) = (&options.data, &dir) {
            let (found, expected) = ("no such folder".to_owned(), "the folder of a data set".to_owned());
            return Err(Error::Setting { key: asked.display().to_string(), found, expected });
        }
        let data = Data::read(run, settings.as_ref(), dir.as_deref(), &mut note);
        let evaluations = Evaluations::read(&eval, &options.bootstrap, &mut note);
        let (mut views, mut map, mut heat_maps) = (SampleViews::default(), FeatureMap::default(), HeatMaps::default());
        if let (Some(dir), Some(settings)) = (&dir, &settings) {
            views = SampleViews::draw(settings, dir).unwrap_or_else(|e| noted(&mut note, "sample views", &e));
            if options.features || options.data.is_some() {
                let (dataset, images, device) = (settings.data.dataset, options.images.max(3), &options.device);
                if run.join("export").is_dir() {
                    let found = FeatureMap::compute(run, dir, dataset, images, device);
                    map = found.unwrap_or_else(|e| noted(&mut note, "map of the features", &e));
                }
                // The last there is: of the usual folders that of the fine-tuning, behind those of linear heads.
                if let Some(export) =
                    eval.iter().rev().map(|folder| folder.join("export")).find(|export| export.is_dir())
                {
                    let found = HeatMaps::compute(&export, dir, dataset, images, device);
                    heat_maps = found.unwrap_or_else(|e| noted(&mut note, "heat maps", &e));
                }
            }
        }
        let name = run.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
        Ok(Self {
            title: name.unwrap_or_else(|| run.display().to_string()),
            summary: configuration.summary(),
            configuration,
            data,
            views,
            training: Training::read(run),
            map,
            evaluations,
            heat_maps,
            notes,
        })
    }

    /// The page.
    pub fn to_html(&self) -> String {
        let mut facts: Vec<_> = self.configuration.fact().into_iter().collect();
        facts.extend(self.training.facts());
        facts.extend(self.evaluations.fact());
        let mut sections = vec![
            self.configuration.section(),
            self.data.section(),
            self.views.section(),
            self.training.section(),
            self.training.similarities(),
            self.map.section(),
            self.evaluations.fractions_section(),
            self.evaluations.roc_section(),
            self.evaluations.reliability_section(),
            self.evaluations.groups_section(),
            self.heat_maps.section(),
        ];
        if !self.notes.is_empty() {
            let items: String = self.notes.iter().map(|note| format!("<li>{}</li>", escape(note))).collect();
            let lead = "Files that are there and could not be read, or used; their sections lack them.".to_owned();
            sections.push(Section {
                id: "notes",
                title: "What could not be read",
                lead,
                body: Ok(format!("<ul>{items}</ul>")),
            });
        }
        page(&self.title, &self.summary, &facts, &sections)
    }

    /// Writes the page whole or not at all. An older report is replaced; any other file is left alone.
    ///
    /// # Errors
    /// A file there that is no report, or what the disk says.
    pub fn write(&self, path: &Path) -> Result<()> {
        let ours = |path: &Path| fs::read(path).is_ok_and(|bytes| contains(&bytes, page::GENERATOR.as_bytes()));
        if path.exists() && !ours(path) {
            let (found, expected) =
                ("a file that is no report".to_owned(), "a new file, or an older report".to_owned());
            return Err(Error::Setting { key: path.display().to_string(), found, expected });
        }
        let partial = path.with_extension("partial");
        fs::write(&partial, self.to_html()).and_then(|()| fs::rename(&partial, path)).map_err(Error::io(path))
    }
}

fn noted<T: Default>(note: &mut dyn FnMut(&str), what: &str, fault: &Error) -> T {
    note(&format!("{what}: {fault}"));
    T::default()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_nothing_but_a_log_has_every_section() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("metrics.jsonl"), "").unwrap();
        let html = Report::read(folder.path(), &ReportOptions::default()).unwrap().to_html();
        for id in ["configuration", "data", "views", "pretraining", "similarities", "features", "fractions", "roc"] {
            assert!(html.contains(&format!("<section id=\"{id}\" class=\"absent\">")), "{id}");
        }
        assert!(html.contains("not a medical device") && !html.contains("<script") && !html.contains("http-equiv"));
    }

    #[test]
    fn only_reports_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("metrics.jsonl"), "").unwrap();
        let report = Report::read(folder.path(), &ReportOptions::default()).unwrap();
        let (page, mine) = (folder.path().join("report.html"), folder.path().join("mine.html"));
        fs::write(&mine, "<p>notes</p>").unwrap();
        report.write(&page).unwrap();
        report.write(&page).unwrap();
        assert!(report.write(&mine).unwrap_err().to_string().contains("no report"));
        assert_eq!(fs::read_to_string(&mine).unwrap(), "<p>notes</p>");
    }

    #[test]
    fn a_folder_without_a_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = Report::read(folder.path(), &ReportOptions::default()).unwrap_err();
        assert!(matches!(error, Error::NotARun { .. }), "{error}");
        let options = ReportOptions { eval: vec![folder.path().join("no")], ..ReportOptions::default() };
        assert!(Report::read(folder.path(), &options).unwrap_err().to_string().contains("no such folder"));
    }
}
