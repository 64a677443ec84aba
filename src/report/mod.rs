//! One self-contained HTML page about a run: it fetches nothing and runs no script. A section without data is one line
//! that names the command that adds it.
//!
//! [`Report::read`] reads the folders, with one file here for each part; [`Report::to_html`] writes the page
//! (`page.rs`, `style.css`) with charts of [`eval::chart`].

mod alike;
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
mod synthetic;
mod training;

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use cxr_data::{OnBad, synth::is_drawn};
use eval::{Bootstrap, chart::escape};

use crate::{
    data::Sources,
    device::DeviceChoice,
    error::{Error, Result},
    files::{Notes, Watch, write_whole},
    pretrain::PretrainSettings,
};
use alike::Alike;
use configuration::Configuration;
use data::{Data, SampleViews};
use evaluation::Evaluations;
use feature_map::FeatureMap;
use heat_maps::HeatMaps;
use page::{Head, Section, page};
use synthetic::Drawn;
use training::Training;

/// Bytes of a page in which its generator is looked for.
const HEAD: u64 = 64 * 1024;

/// Inputs and settings of a report, besides the folder of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportOptions {
    /// Folders that `linear` and `finetune` wrote. Empty: those of `eval`, `linear`, `knn` and `finetune` that exist in
    /// the run's folder.
    pub eval: Vec<PathBuf>,
    /// Folder of the data set; `None`: the one the run was pretrained on.
    pub data: Option<PathBuf>,
    /// Whether to compute features and heat maps, on up to [`Self::images`] images.
    pub features: bool,
    /// Number of images in the map of the features, from which those of the heat maps are chosen too; at least 3.
    pub images: usize,
    /// Settings of intervals and bands.
    pub bootstrap: Bootstrap,
    /// The device that computes features.
    pub device: DeviceChoice,
    /// Whether the page names no folder and no file and shows no radiograph.
    pub private: bool,
}

impl Default for ReportOptions {
    /// The run's own folders and data, no features computed, 500 images, 1000 bootstrap replicates.
    fn default() -> Self {
        Self {
            eval: Vec::new(),
            data: None,
            features: false,
            images: 500,
            bootstrap: Bootstrap { replicates: 1000, ..Bootstrap::default() },
            device: DeviceChoice::default(),
            private: false,
        }
    }
}

/// Everything the page shows about a run.
#[derive(Debug)]
pub struct Report {
    /// Heading of the page.
    pub title: String,
    /// One paragraph below the heading, plain text.
    pub summary: String,
    configuration: Configuration,
    data: Data,
    views: SampleViews,
    training: Training,
    map: FeatureMap,
    alike: Alike,
    evaluations: Evaluations,
    heat_maps: HeatMaps,
    /// Which images were drawn by `moco-cxr synth`.
    drawn: Drawn,
    notes: Vec<String>,
}

impl Report {
    /// Reads the folder of a run and its evaluations. If a file is absent or cannot be read, its section is left out;
    /// files that cannot be read are listed on the page.
    ///
    /// # Errors
    /// A folder that holds no run, a folder in the options that does not exist, or settings of the bootstrap out of
    /// range.
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
            let (found, expected) = ("no such folder".to_owned(), "a folder that linear or finetune wrote".to_owned());
            return Err(Error::Setting { key: absent.display().to_string(), found, expected });
        }
        let is_run = ["config.toml", "run.json", "metrics.jsonl"].iter().any(|file| run.join(file).is_file());
        if !is_run && options.eval.is_empty() {
            return Err(Error::NotARun { path: run.into() });
        }
        let notes = Notes::new(&());
        let configuration = Configuration::read(run, options.private, &notes);
        let settings = PretrainSettings::read(&run.join("config.toml")).ok();
        let dir = options.data.clone().or_else(|| Some(settings.as_ref()?.data.dir.clone())).filter(|dir| dir.is_dir());
        if let (Some(asked), None) = (&options.data, &dir) {
            let (found, expected) = ("no such folder".to_owned(), "the folder of a data set".to_owned());
            return Err(Error::Setting { key: asked.display().to_string(), found, expected });
        }
        let sources = settings.as_ref().zip(dir.clone()).map(|(settings, dir)| sources(settings, dir));
        let data = Data::read(run, settings.as_ref().zip(sources.as_ref()), options.private, &notes);
        let evaluations = Evaluations::read(&eval, &options.bootstrap, options.private, &notes);
        let (mut views, mut heat_maps) = (SampleViews::default(), HeatMaps::default());
        let (mut map, mut alike) = (FeatureMap::default(), Alike::default());
        if let (Some(sources), Some(settings), false) = (&sources, &settings, options.private) {
            views = SampleViews::draw(settings, sources).unwrap_or_else(|e| noted(&notes, "sample views", &e));
            if options.features || options.data.is_some() {
                let (images, device) = (options.images.max(3), &options.device);
                if run.join("export").is_dir() {
                    match FeatureMap::compute(run, sources, images, device) {
                        Ok((found, near)) => {
                            map = found;
                            alike = near.unwrap_or_else(|e| noted(&notes, "images that are alike", &e));
                        }
                        Err(e) => map = noted(&notes, "map of the features", &e),
                    }
                }
                // The last one: among the usual folders, that of the fine-tuning comes after those of linear heads.
                if let Some(export) =
                    eval.iter().rev().map(|folder| folder.join("export")).find(|export| export.is_dir())
                {
                    let found = HeatMaps::compute(&export, sources, images, device);
                    heat_maps = found.unwrap_or_else(|e| noted(&notes, "heat maps", &e));
                }
            }
        }
        let named = run.canonicalize().map_or_else(|_| run.display().to_string(), |path| name_of(&path));
        let read = sources.as_ref().is_some_and(|sources| sources.are_drawn(&sources.train));
        let further = sources.iter().flat_map(|sources| sources.read.more.iter().chain(&sources.read.table));
        let folders: Vec<&Path> = [Some(run), dir.as_deref()]
            .into_iter()
            .flatten()
            .chain(eval.iter().chain(further).map(PathBuf::as_path))
            .collect();
        Ok(Self {
            title: if options.private { "A pretraining".to_owned() } else { named },
            summary: configuration.summary(),
            configuration,
            data,
            views,
            training: Training::read(run, &notes),
            map,
            alike,
            evaluations,
            heat_maps,
            drawn: if read { Drawn::Images } else { Drawn::recorded(run, &eval) },
            notes: leaving(notes.texts(), &folders, options.private),
        })
    }

    /// The page as HTML.
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
            self.alike.section(),
            self.evaluations.fractions_section(),
            self.evaluations.roc_section(),
            self.evaluations.reliability_section(),
            self.evaluations.groups_section(),
            self.heat_maps.section(),
        ];
        if !self.notes.is_empty() {
            let items: String = self.notes.iter().map(|note| format!("<li>{}</li>", escape(note))).collect();
            let lead =
                "Files that exist but could not be read or used. They are missing from their sections.".to_owned();
            sections.push(Section {
                id: "notes",
                title: "What could not be read",
                lead,
                body: Ok(format!("<ul>{items}</ul>")),
            });
        }
        let mut tab = vec![self.title.clone(), self.configuration.in_short(), "moco-cxr".to_owned()];
        tab.retain(|part| !part.is_empty());
        let head = Head { tab: tab.join(" \u{b7} "), title: &self.title, summary: &self.summary };
        page(&head, self.drawn, &facts, &sections)
    }

    /// Writes the page completely or not at all, and replaces an older report.
    ///
    /// # Errors
    /// A file at `path` that is not a report, or a failure to write.
    pub fn write(&self, path: &Path) -> Result<()> {
        let ours = |path: &Path| {
            let mut start = Vec::new();
            // It stands in the head of the page.
            let read = fs::File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut start));
            read.is_ok() && contains(&start, page::GENERATOR.as_bytes())
        };
        if path.exists() && !ours(path) {
            let (found, expected) =
                ("a file that is not a report".to_owned(), "a new path or an older report".to_owned());
            return Err(Error::Setting { key: path.display().to_string(), found, expected });
        }
        write_whole(path, self.to_html().as_bytes())
    }
}

/// What a run is called: by its folder, and that of a quickstart, which is always called `run`, by the folder above too. Of other
/// runs the folder above is nobody's business.
fn name_of(run: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let own = name(run).unwrap_or_else(|| run.display().to_string());
    let quickstart = run.parent().filter(|above| own == "run" && is_drawn(&above.join("data")));
    match quickstart.and_then(name) {
        Some(above) => format!("{above}/{own}"),
        None => own,
    }
}

/// Notes without the folders above those that were read, or in private only how many there are.
fn leaving(notes: Vec<String>, folders: &[&Path], private: bool) -> Vec<String> {
    if private {
        let count = notes.len();
        let text = format!("problems while reading: {count}; without --private the page says which");
        return if count > 0 { vec![text] } else { Vec::new() };
    }
    let without = |mut text: String| {
        for folder in folders {
            for above in [std::path::absolute(folder).ok().as_deref(), Some(*folder)].into_iter().flatten() {
                if let Some(parent) = above.parent().filter(|parent| parent.components().count() > 1) {
                    text = text.replace(&format!("{}/", parent.display()), "");
                }
            }
        }
        text
    };
    notes.into_iter().map(without).collect()
}

/// How the run read its images, from `dir`: where that is another folder than the run had, the further folders of the run are
/// left out.
fn sources(settings: &PretrainSettings, dir: PathBuf) -> Sources {
    let mut sources = settings.sources();
    if dir != sources.train {
        sources.read.more.clear();
    }
    (sources.train, sources.on_bad, sources.cache) = (dir, OnBad::Skip, None);
    sources
}

fn noted<T: Default>(watch: &dyn Watch, what: &str, fault: &Error) -> T {
    watch.note(&format!("{what}: {fault}"));
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
    fn a_run_with_only_a_log_has_every_section() {
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
        assert!(report.write(&mine).unwrap_err().to_string().contains("not a report"));
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
