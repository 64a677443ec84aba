//! From a folder on disk to a [`Manifest`], with one loader per data set. Loading reads tables and file names and opens
//! no image.

mod brax;
mod cells;
mod chexpert;
mod chexpert_plus;
mod columns;
mod covid;
mod finder;
mod findings;
mod folder;
mod mimic;
mod nih;
mod nlm;
mod openi;
mod padchest;
mod reading;
mod rsna;
mod source;
mod tbx11k;
mod together;
mod vindr;
mod words;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::inventory::{Inventory, to_text};
use crate::{Error, Manifest, Result};

pub(crate) use cells::patient_and_study;
pub use columns::{Columns, Role as Column};
use source::{Source, heads};
pub use together::{load_opened, load_together, open_together};
pub(crate) use words::plain;

/// A data set, by its published layout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Dataset {
    /// Recognised from the folder.
    #[default]
    Auto,
    /// CheXpert, small or full (also in its batches): `train.csv`, `valid.csv`, ground truth of the test set per study.
    Chexpert,
    /// CheXpert Plus, `df_chexpert_plus_240401.csv`.
    #[serde(rename = "chexpert-plus")]
    ChexpertPlus,
    /// MIMIC-CXR-JPG, `mimic-cxr-2.0.0-*.csv`.
    Mimic,
    /// NIH ChestX-ray14, `Data_Entry_2017.csv`.
    Nih,
    /// PadChest, `PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv`.
    Padchest,
    /// VinDr-CXR, `image_labels_train.csv`.
    Vindr,
    /// RSNA Pneumonia Detection Challenge, `stage_2_train_labels.csv`.
    Rsna,
    /// OpenI (Indiana University), `indiana_projections.csv`.
    Openi,
    /// BRAX, `master_spreadsheet_update.csv`.
    Brax,
    /// TBX11K, `lists/TBX11K_train.txt`.
    Tbx11k,
    /// covid-chestxray-dataset, `metadata.csv`.
    Covid,
    /// Shenzhen, `ChinaSet_AllFiles`.
    Shenzhen,
    /// Montgomery County, `MontgomerySet`.
    Montgomery,
    /// Any folder of images, or a table beside them.
    Folder,
}

/// Part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The published training part.
    Train,
    /// The published validation part.
    Valid,
    /// The published test part.
    Test,
    /// All parts.
    All,
}

/// How to treat a row whose image is missing or unreadable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBad {
    /// An error that names the image.
    #[default]
    Fail,
    /// Leave it out and count it.
    Skip,
}

/// Options of a loader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// How to treat rows whose image is missing.
    pub on_bad: OnBad,
    /// Keep rows whose image is missing, whatever `on_bad` says; an audit counts them as unreadable.
    pub keep_missing: bool,
    /// For sets without patients: a regular expression on the path of an image below the root; its first group is the
    /// patient.
    pub patient_regex: Option<String>,
    /// The table to read, as a path or a name in the folder: for a plain folder that of the images, for MIMIC-CXR-JPG and
    /// CheXpert Plus that of the labels. By default it is searched for.
    pub table: Option<std::path::PathBuf>,
    /// For a table of your own: which column is what, where that is not found by its name.
    pub columns: Columns,
    /// For a table of your own: columns that are labels, so that a cell that is none is an error. Every other column is one if
    /// every cell of it is.
    pub tasks: Option<Vec<String>>,
    /// For VinDr-CXR: the reader whose labels are taken, such as `R8`. By default the majority of the three.
    pub reader: Option<String>,
}

impl LoadOptions {
    /// Checks the options, as far as that is possible without a data set.
    ///
    /// # Errors
    /// [`Error::PatientPattern`] for an invalid pattern.
    pub fn validate(&self) -> Result<()> {
        self.patient_regex.as_deref().map_or(Ok(()), folder::check_pattern)
    }
}

/// Reads a data set with the default [`LoadOptions`]: a missing image is an error.
///
/// # Errors
/// As [`load_with`].
pub fn load(dir: &Path, dataset: Dataset, part: Part) -> Result<Manifest> {
    load_with(dir, dataset, part, &LoadOptions::default())
}

/// Reads a data set. Rows are in file order; [`Manifest::notes`] says what was decided or repaired, and
/// [`Manifest::account`] what became of every file below the folder.
///
/// `dir` is the folder of the data set or its parent.
///
/// # Errors
/// When the folder does not have the data set's layout or the set has no such part ([`Error::Layout`] says what it holds), a
/// table lacks columns or has an invalid cell, or an image is missing.
pub fn load_with(dir: &Path, dataset: Dataset, part: Part, options: &LoadOptions) -> Result<Manifest> {
    Folder::open(dir)?.load(dataset, part, options)
}

/// A folder whose files were listed, for several loads without listing them again.
#[derive(Debug)]
pub struct Folder {
    inventory: Inventory,
    heads: Vec<(String, tables::Result<tables::Head>)>,
}

impl Folder {
    /// Lists the files of a folder and reads the heads of its tables.
    ///
    /// # Errors
    /// [`Error::Io`] for a folder that cannot be read.
    pub fn open(dir: &Path) -> Result<Self> {
        // First read the folder, so that a wrong path is reported as such.
        listing(dir)?;
        let inventory = Inventory::of(dir)?;
        let heads = heads(&inventory);
        Ok(Self { inventory, heads })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.inventory.root()
    }

    /// Reads a part of the data set in the folder.
    ///
    /// # Errors
    /// As [`load_with`].
    pub fn load(&self, dataset: Dataset, part: Part, options: &LoadOptions) -> Result<Manifest> {
        let source = Source::new(&self.inventory, &self.heads, part, options);
        let found = if dataset == Dataset::Auto { Some(detect(&source)?) } else { None };
        let kind = found.as_ref().map_or(dataset, |(dataset, _)| *dataset);
        let mut manifest = match kind {
            Dataset::Chexpert => chexpert::load(&source),
            Dataset::ChexpertPlus => chexpert_plus::load(&source),
            Dataset::Mimic => mimic::load(&source),
            Dataset::Nih => nih::load(&source),
            Dataset::Padchest => padchest::load(&source),
            Dataset::Vindr => vindr::load(&source),
            Dataset::Rsna => rsna::load(&source),
            Dataset::Openi => openi::load(&source),
            Dataset::Brax => brax::load(&source),
            Dataset::Tbx11k => tbx11k::load(&source),
            Dataset::Covid => covid::load(&source),
            Dataset::Shenzhen => nlm::SHENZHEN.load(&source),
            Dataset::Montgomery => nlm::MONTGOMERY.load(&source),
            Dataset::Folder | Dataset::Auto => folder::load(&source),
        }?;
        let published = !matches!(kind, Dataset::Folder | Dataset::Auto);
        for (given, what) in [
            (options.patient_regex.is_some(), "the patient pattern"),
            (!options.columns.is_empty(), "the choice of columns"),
        ] {
            if given && published {
                manifest.notes.push(format!("{what} is not used: the data set \"{kind}\" has its own"));
            }
        }
        if options.reader.is_some() && kind != Dataset::Vindr {
            manifest.notes.push(format!("the choice of a reader is not used: it is for \"vindr\", not for \"{kind}\""));
        }
        if let Some((dataset, sign)) = found {
            let dir = self.inventory.root().display();
            manifest.notes.insert(0, format!("{dir}: recognised as the data set \"{dataset}\" ({sign})"));
        }
        let read = source.tables_read();
        let why = |path: &str| folder::why_not(&source, path, &read);
        let whole = part == Part::All || !manifest.has_parts;
        manifest.account = self.inventory.account(&manifest, (&read, &source.of_other_parts()), whole, &why);
        Ok(manifest)
    }
}

/// The data set that a folder looks like, and why.
fn detect(source: &Source<'_>) -> Result<(Dataset, String)> {
    let dir = source.dir();
    // A table of images that was asked for is one's own, also beside a published set.
    let own = source.options.table.as_ref().is_some_and(|table| {
        let below = dir.join(table);
        let head = tables::Table::head(if below.is_file() { &below } else { table });
        head.is_ok_and(|head| columns::names_images(&head.header, &source.options.columns))
    });
    if own {
        let table = source.options.table.as_deref().unwrap_or(Path::new(""));
        return Ok((Dataset::Folder, format!("the table {}", table.display())));
    }
    if source.options.columns.is_empty() {
        let known = [
            (Dataset::Nih, nih::find_table(source).map(String::from)),
            (Dataset::Mimic, mimic::recognised(source)),
            (Dataset::ChexpertPlus, chexpert_plus::recognised(source)),
            (Dataset::Padchest, padchest::recognised(source)),
            (Dataset::Brax, brax::recognised(source)),
            (Dataset::Vindr, vindr::recognised(source)),
            (Dataset::Rsna, rsna::recognised(source)),
            (Dataset::Openi, openi::recognised(source)),
            (Dataset::Tbx11k, tbx11k::recognised(source)),
            (Dataset::Covid, covid::recognised(source)),
        ];
        if let Some((dataset, sign)) = known.into_iter().find_map(|(dataset, sign)| Some((dataset, sign?))) {
            return Ok((dataset, sign));
        }
    }
    for (set, dataset) in [(nlm::SHENZHEN, Dataset::Shenzhen), (nlm::MONTGOMERY, Dataset::Montgomery)] {
        if let Some(folder) = set.find(dir)? {
            return Ok((dataset, format!("file names in {}", folder.display())));
        }
    }
    Ok(match chexpert::find_root(dir) {
        Ok(root) if source.options.table.is_none() && chexpert::has_its_columns(&root)? => {
            (Dataset::Chexpert, format!("tables in {}", root.display()))
        }
        _ => (Dataset::Folder, format!("found {}", listing(dir)?)),
    })
}

/// The note for a set without published parts, of which every part is all of it until somebody divides it.
fn no_parts(dataset: Dataset, part: Part, images: usize) -> Option<String> {
    (part != Part::All).then(|| format!("the data set \"{dataset}\" has no published parts ({images} images in all)"))
}

/// Names of up to eight entries of a folder, for error messages.
fn listing(dir: &Path) -> Result<String> {
    let io = |source| Error::Io { path: dir.into(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        names.push(to_text(entry.map_err(io)?.file_name().as_ref()));
    }
    names.sort();
    let more = names.len().saturating_sub(8);
    names.truncate(8);
    Ok(match (names.is_empty(), more) {
        (true, _) => "an empty folder".into(),
        (_, 0) => names.join(", "),
        _ => format!("{} and {more} more", names.join(", ")),
    })
}

impl Dataset {
    const NAMES: [(&'static str, Dataset); 15] = [
        ("auto", Dataset::Auto),
        ("chexpert", Dataset::Chexpert),
        ("chexpert-plus", Dataset::ChexpertPlus),
        ("mimic", Dataset::Mimic),
        ("nih", Dataset::Nih),
        ("padchest", Dataset::Padchest),
        ("vindr", Dataset::Vindr),
        ("rsna", Dataset::Rsna),
        ("openi", Dataset::Openi),
        ("brax", Dataset::Brax),
        ("tbx11k", Dataset::Tbx11k),
        ("covid", Dataset::Covid),
        ("shenzhen", Dataset::Shenzhen),
        ("montgomery", Dataset::Montgomery),
        ("folder", Dataset::Folder),
    ];
}

impl Part {
    const NAMES: [(&'static str, Part); 4] =
        [("train", Part::Train), ("valid", Part::Valid), ("test", Part::Test), ("all", Part::All)];
}

impl OnBad {
    const NAMES: [(&'static str, OnBad); 2] = [("fail", OnBad::Fail), ("skip", OnBad::Skip)];
}

/// Implements `FromStr` and `Display` by the `NAMES` of a type.
macro_rules! named {
    ($($type:ty, $what:literal;)*) => {$(
        impl FromStr for $type {
            type Err = Error;

            fn from_str(value: &str) -> Result<Self> {
                crate::loaders::choice($what, value, &Self::NAMES)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(Self::NAMES.iter().find(|(_, choice)| choice == self).map_or("?", |(name, _)| name))
            }
        }
    )*};
}
pub(crate) use named;

named! {
    Dataset, "data set";
    Part, "part";
    OnBad, "choice for bad images";
}

pub(crate) fn choice<T: Copy>(what: &'static str, value: &str, names: &[(&str, T)]) -> Result<T> {
    names.iter().find(|(name, _)| name.eq_ignore_ascii_case(value)).map(|&(_, choice)| choice).ok_or_else(|| {
        Error::UnknownName {
            what,
            value: value.into(),
            expected: names.iter().map(|(name, _)| (*name).to_owned()).collect(),
        }
    })
}
