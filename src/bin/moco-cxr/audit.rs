//! `moco-cxr audit`.

use std::path::{Path, PathBuf};

use clap::{Args, Parser};
use moco_cxr::{
    cxr_data::{
        self, Account, Folder, LoadOptions, Manifest, OnBad, Part, Role, ScanStore, Subset, audit_with, label_policies,
        load_opened, open_together,
    },
    data::scan_store,
    files::Claim,
    shards::{Shard, ShardPlace, Shards},
};

use crate::{
    Cli, Command, Fault,
    flags::{
        bad_argument::BadArgument,
        new_name::new_name,
        output::{JsonArguments, print_json},
        shard::{ShardArguments, write_shard},
        source::SourceArguments,
    },
    terminal::print::out,
};

/// Check a data set: what became of every file of the folder, patients shared between its parts, duplicate and
/// near-duplicate images, unreadable files, what the images look like, label counts.
///
/// The exit status is 1 if anything is wrong. What was seen in an image is kept by path, size and time of its file, so that
/// a second audit does not decode it again.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  moco-cxr audit --data CheXpert-v1.0-small\n  moco-cxr audit --data films --columns path=ImageID,patient=PatientID --task Effusion"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    /// Label that your own table has as a column (a cell in it that is no label is then an error) or as a word, or a folder of
    /// a class; may be repeated.
    #[arg(long = "task", value_name = "NAME")]
    tasks: Vec<String>,
    #[command(flatten)]
    shard: ShardArguments,
    /// With --shard: new or empty folder for what was seen in this part; `moco-cxr merge` prints the report.
    #[arg(long, value_name = "DIR", requires = "shard", value_parser = new_name())]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: JsonArguments,
}

/// What a shard has seen, in its folder.
const SEEN: &str = "seen.scan";

impl Arguments {
    /// Whether only a part of the images is meant.
    pub(crate) fn is_shard(&self) -> bool {
        self.shard.shard.is_some()
    }
}

/// As one run with the arguments of shards, which have looked at all images.
pub(crate) fn run_recorded(shards: &Shards, json: bool) -> Result<(), Fault> {
    let words = ["moco-cxr", "audit"].into_iter().chain(shards.first.arguments.iter().map(String::as_str));
    let Cli { command: Command::Audit(mut arguments) } = Cli::try_parse_from(words)? else {
        return Err("the record of the shards is not that of an audit".into());
    };
    arguments.output.json = json;
    let seen: Vec<PathBuf> = shards.folders.iter().map(|folder| folder.join(SEEN)).collect();
    run_knowing(&arguments, &seen)
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    run_knowing(arguments, &[])
}

fn run_knowing(arguments: &Arguments, seen: &[PathBuf]) -> Result<(), Fault> {
    let Arguments { source, tasks, shard, out, output } = arguments;
    let shard = match (shard.shard, out) {
        (Some(shard), Some(out)) => Some((shard, out, Claim::folder(out)?)),
        (Some(_), None) => {
            return Err(BadArgument::found("--out", "nothing", "a new or empty folder for this shard"));
        }
        (None, _) => None,
    };
    // The audit counts missing files, so the loader must neither stop at them nor drop them.
    let tasks = Some(tasks.clone()).filter(|tasks| !tasks.is_empty());
    let options = LoadOptions { keep_missing: true, tasks, ..source.load_options(OnBad::Fail) };
    let read = Read::open(source, options)?;
    let mut parts = Vec::new();
    for (name, part, role) in
        [("train", Part::Train, Role::Train), ("valid", Part::Valid, Role::Valid), ("test", Part::Test, Role::Test)]
    {
        match read.part(part) {
            Ok(manifest) => parts.push((name, role, manifest)),
            // Only the training part is required.
            Err(cxr_data::Error::Layout { .. }) if part != Part::Train => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    if let Some((shard, out, _claim)) = shard {
        return look(&parts, shard, out);
    }
    let account = read.account(&parts)?;
    let subsets: Vec<Subset<'_>> =
        parts.iter().map(|(name, role, manifest)| Subset { name, role: *role, manifest }).collect();
    let mut store = scan_store(source.dir());
    let kept = store.is_some();
    if !seen.is_empty() {
        let known = store.get_or_insert_with(|| ScanStore::in_file(&seen[0]));
        seen.iter().for_each(|file| known.absorb(ScanStore::in_file(file)));
    }
    let mut report = audit_with(&subsets, &label_policies(), store.as_mut())?;
    report.account = account;
    if let Some(store) = store.filter(|_| kept) {
        store.save()?;
    }
    if output.json {
        print_json(&report)?;
    } else {
        out!("{report}")?;
    }
    match &report.faults()[..] {
        [] => Ok(()),
        [fault] => Err(fault.as_str().into()),
        // The report lists all of them.
        [first, second] => Err(format!("{first}; {second}").into()),
        [first, others @ ..] => Err(format!("{first}; and {} more faults, see the report", others.len()).into()),
    }
}

/// Looks at a part of all images, and writes what was seen into a folder.
fn look(parts: &[(&'static str, Role, Manifest)], shard: Shard, out: &Path) -> Result<(), Fault> {
    let total = parts.iter().map(|(.., manifest)| manifest.len()).sum();
    let range = shard.range(total, 1);
    let mut begin = 0;
    let of_shard: Vec<(&str, Role, Manifest)> = parts
        .iter()
        .map(|(name, role, manifest)| {
            let rows = (0..manifest.len()).filter(|row| range.contains(&(begin + row))).collect::<Vec<_>>();
            begin += manifest.len();
            (*name, *role, manifest.select(&rows))
        })
        .collect();
    let subsets: Vec<Subset<'_>> =
        of_shard.iter().map(|(name, role, manifest)| Subset { name, role: *role, manifest }).collect();
    let hashes: Vec<String> = parts.iter().map(|(.., manifest)| manifest.hash()).collect();
    write_shard("audit", shard, ShardPlace { data: hashes.join(" "), rows: range, of: total }, out, |folder| {
        let mut store = ScanStore::in_file(&folder.join(SEEN));
        // What there is to say is said of all shards together.
        audit_with(&subsets, &[], Some(&mut store))?;
        Ok(store.save()?)
    })
}

/// One folder or several, listed once.
struct Read {
    folders: Vec<Folder>,
    dataset: cxr_data::Dataset,
    options: LoadOptions,
}

impl Read {
    fn open(source: &SourceArguments, options: LoadOptions) -> Result<Self, Fault> {
        let mut dirs = vec![source.dir().to_path_buf()];
        dirs.extend(source.read_as(&[]).more);
        for dir in &dirs {
            if dir.is_file() {
                return Err(format!(
                    "{}: a file, expected the folder of a data set; --data {} --table {} reads this table",
                    dir.display(),
                    dir.parent()
                        .filter(|above| !above.as_os_str().is_empty())
                        .map_or(".".into(), |above| above.display().to_string()),
                    dir.file_name().unwrap_or_default().to_string_lossy()
                )
                .into());
            }
        }
        let folders = if dirs.len() == 1 { vec![Folder::open(source.dir())?] } else { open_together(&dirs)? };
        Ok(Self { folders, dataset: source.dataset(), options })
    }

    fn part(&self, part: Part) -> cxr_data::Result<Manifest> {
        match &self.folders[..] {
            [folder] => folder.load(self.dataset, part, &self.options),
            folders => load_opened(folders, self.dataset, part, &self.options),
        }
    }

    /// What became of every file: of the whole set, where all of it loads.
    fn account(&self, parts: &[(&str, Role, Manifest)]) -> Result<Account, Fault> {
        match (self.part(Part::All), parts.first()) {
            (Ok(whole), _) => Ok(whole.account),
            (Err(_), Some((.., manifest))) => Ok(manifest.account.clone()),
            (Err(fault), None) => Err(fault.into()),
        }
    }
}
