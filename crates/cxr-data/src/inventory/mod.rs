//! Everything below a folder, walked once: the one place that decides which files can be images or tables of a set. The
//! loaders take from it, and what none of them took is accounted for.

mod account;
mod headers;
mod kind;
mod names;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use walkdir::WalkDir;

pub use account::{Account, LeftOut};
pub(crate) use headers::Header;
pub(crate) use kind::has_image_ending;
use kind::{Kind, ending, is_mask, of_file, of_system};
pub(crate) use names::{to_path, to_text};

use crate::{Error, Manifest, Result, limits};

/// The files below a folder.
#[derive(Debug)]
pub(crate) struct Inventory {
    root: PathBuf,
    /// Paths below the root, sorted as they were walked.
    files: Vec<File>,
    /// What is out from the start: hidden, of the system, own outputs, loops.
    left_out: Account,
    /// Another name (a link) of a file, and the name it is kept under.
    aliases: HashMap<String, String>,
    by_path: HashMap<String, usize>,
    by_stem: OnceLock<HashMap<String, Vec<usize>>>,
    headers: OnceLock<HashMap<String, Header>>,
}

#[derive(Debug)]
struct File {
    path: String,
    kind: Kind,
    /// A link that leads nowhere.
    dangling: bool,
}

const ALIAS: &str = "other names (links) of files that are there already";
const DANGLING: &str = "links that lead nowhere";
const SPECIAL: &str = "pipes, sockets and devices, or links to them, which are no files and are not opened";

impl Inventory {
    /// Walks a folder. Links are followed; a loop of links is walked once.
    ///
    /// # Errors
    /// [`Error::Io`] for a folder that cannot be read: it may hold images.
    pub(crate) fn of(root: &Path) -> Result<Self> {
        let mut left_out = Account::default();
        let mut found: Vec<(PathBuf, bool, bool)> = Vec::new();
        // Whether the folder at each depth was reached through a link.
        let mut linked: Vec<bool> = Vec::new();
        let mut runs: BTreeSet<PathBuf> = BTreeSet::new();
        let mut walk = WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter();
        while let Some(entry) = walk.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let path = error.path().unwrap_or(root).to_path_buf();
                    let name = to_text(path.strip_prefix(root).unwrap_or(&path));
                    if error.loop_ancestor().is_some() {
                        left_out.leave_out(false, "links to a folder above them (loops), which are walked once", &name);
                        continue;
                    }
                    let link = path.symlink_metadata().is_ok_and(|data| data.file_type().is_symlink());
                    if link && !path.exists() {
                        match path.file_name().and_then(|name| of_system(&name.to_string_lossy())) {
                            Some(kind) => leave_out_system(&mut left_out, kind, &name),
                            None => {
                                let through = linked.get(error.depth().saturating_sub(1)).copied().unwrap_or(false);
                                found.push((path, true, through));
                            }
                        }
                        continue;
                    }
                    let other = || std::io::Error::other("the folder cannot be walked");
                    return Err(Error::Io { path, source: error.into_io_error().unwrap_or_else(other) });
                }
            };
            let depth = entry.depth();
            linked.truncate(depth);
            let through = linked.last().copied().unwrap_or(false) || depth > 0 && entry.path_is_symlink();
            let folder = entry.file_type().is_dir();
            if depth > 0
                && let Some(kind) = of_system(&entry.file_name().to_string_lossy())
            {
                let name = to_text(entry.path().strip_prefix(root).unwrap_or(entry.path()));
                leave_out_system(&mut left_out, kind, &if folder { format!("{name}/") } else { name });
                if folder {
                    walk.skip_current_dir();
                }
                continue;
            }
            if folder {
                linked.push(through);
            } else if entry.file_type().is_file() {
                if entry.file_name() == "run.json" && is_run(entry.path()) {
                    runs.extend(entry.path().parent().map(Path::to_path_buf));
                }
                found.push((entry.into_path(), false, through));
            } else {
                // Nor are they opened later: who opens a pipe waits for somebody to write.
                let name = to_text(entry.path().strip_prefix(root).unwrap_or(entry.path()));
                left_out.leave_out(true, SPECIAL, &name);
            }
        }
        // A run folder is own output as a whole; the folder itself is not, if someone asks for it.
        for run in runs.iter().filter(|run| *run != root) {
            found.retain(|(path, ..)| !path.starts_with(run));
            let name = to_text(run.strip_prefix(root).unwrap_or(run));
            left_out.leave_out(false, "folders that moco-cxr wrote itself", &format!("{name}/"));
        }
        Ok(Self::sorted_out(root, found, left_out))
    }

    /// Kinds of the files, and which of them are other names of one.
    fn sorted_out(root: &Path, found: Vec<(PathBuf, bool, bool)>, left_out: Account) -> Self {
        let name_of = |path: &Path| to_text(path.strip_prefix(root).unwrap_or(path));
        let real: HashSet<PathBuf> = match found.iter().any(|(.., linked)| *linked) {
            true => {
                let below = root.canonicalize().unwrap_or_else(|_| root.into());
                let own = found.iter().filter(|(.., linked)| !linked);
                own.map(|(path, ..)| below.join(path.strip_prefix(root).unwrap_or(path))).collect()
            }
            false => HashSet::new(),
        };
        let canonical_root = root.canonicalize().unwrap_or_else(|_| root.into());
        let mut behind_links: HashMap<PathBuf, String> = HashMap::new();
        let (mut files, mut aliases, mut left_out) = (Vec::new(), HashMap::new(), left_out);
        for (path, dangling, linked) in found {
            let name = name_of(&path);
            if linked && let Some(canonical) = canonical(&path, dangling) {
                let known = match real.contains(&canonical) {
                    true => Some(to_text(canonical.strip_prefix(&canonical_root).unwrap_or(&canonical))),
                    false => behind_links.get(&canonical).cloned(),
                };
                if let Some(known) = known {
                    left_out.leave_out(false, ALIAS, &name);
                    aliases.insert(name, known);
                    continue;
                }
                behind_links.insert(canonical, name.clone());
            }
            let kind = match dangling {
                true if has_image_ending(&path) => Kind::Image,
                true => Kind::Other,
                false => of_file(&path),
            };
            files.push(File { path: name, kind, dangling });
        }
        // Masks lie beside the images that they belong to. A folder of nothing else was asked for.
        let masks = |file: &File| file.kind == Kind::Image && is_mask(&file.path);
        if files.iter().any(|file: &File| file.kind == Kind::Image && !masks(file)) {
            files.iter_mut().filter(|file| masks(file)).for_each(|file| file.kind = Kind::Mask);
        }
        let by_path = files.iter().enumerate().map(|(at, file)| (file.path.clone(), at)).collect();
        let (by_stem, headers) = (OnceLock::new(), OnceLock::new());
        Self { root: root.into(), files, left_out, aliases, by_path, by_stem, headers }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Paths of the images, sorted.
    pub(crate) fn images(&self) -> impl Iterator<Item = &str> {
        self.files.iter().filter(|file| file.kind == Kind::Image).map(|file| file.path.as_str())
    }

    /// Paths of the tables, those nearest to the root first.
    pub(crate) fn tables(&self) -> Vec<&str> {
        let tables = self.files.iter().filter(|file| file.kind == Kind::Table && !file.dangling);
        let mut tables: Vec<&str> = tables.map(|file| file.path.as_str()).collect();
        tables.sort_by_key(|path| (path.matches('/').count(), path.to_owned()));
        tables
    }

    /// Paths of all files that are not hidden.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.path.as_str())
    }

    /// The name under which a file is kept, if there is a file of this path.
    pub(crate) fn file(&self, path: &str) -> Option<&str> {
        let path = self.aliases.get(path).map_or(path, String::as_str);
        self.by_path.get(path).map(|&at| self.files[at].path.as_str())
    }

    /// Files of this name, wherever they lie; upper and lower case and the ending of an image do not matter.
    pub(crate) fn named(&self, name: &str) -> impl Iterator<Item = &str> {
        let stems = self.by_stem.get_or_init(|| {
            let mut stems: HashMap<String, Vec<usize>> = HashMap::new();
            for (at, file) in self.files.iter().enumerate().filter(|(_, file)| file.kind == Kind::Image) {
                stems.entry(stem(&file.path)).or_default().push(at);
            }
            stems
        });
        stems.get(&stem(name)).into_iter().flatten().map(|&at| self.files[at].path.as_str())
    }

    /// A path below the root, on disk.
    pub(crate) fn on_disk(&self, path: &str) -> PathBuf {
        self.root.join(to_path(path))
    }

    /// What became of every file, after a loader has taken the rows of `manifest` and read the tables and lists `read` (with
    /// `/` at its end: all files of a folder). `of_other_parts` are tables and lists of the set that this part has no use for.
    /// `whole`: an image that is no row belongs to no part. `why` gives the reason for a table that was not read.
    pub(crate) fn account(
        &self,
        manifest: &Manifest,
        (read, of_other_parts): (&[String], &[String]),
        whole: bool,
        why: &dyn Fn(&str) -> String,
    ) -> Account {
        let prefix = to_text(manifest.root.strip_prefix(&self.root).unwrap_or(Path::new("")));
        let prefix = if prefix.is_empty() { prefix } else { format!("{prefix}/") };
        let taken: HashSet<&str> = manifest.records.iter().map(|record| record.path.as_str()).collect();
        let mut account = self.left_out.clone();
        account.tables = read.to_vec();
        let unread: BTreeSet<String> = self
            .files
            .iter()
            .filter(|file| file.kind == Kind::UnreadImage)
            .map(|file| ending(Path::new(&file.path)))
            .collect();
        let unread =
            format!("images of kinds that are not read ({})", unread.into_iter().collect::<Vec<_>>().join(", "));
        let unlisted = match whole {
            true => "images that no row of the set names",
            false => "images of other parts, or that no row of the set names",
        };
        let was_read =
            |path: &String| read.iter().any(|known| known == path || known.ends_with('/') && path.starts_with(known));
        for File { path, kind, dangling } in &self.files {
            let is_taken = path.strip_prefix(&prefix).is_some_and(|below| taken.contains(below));
            account.images += usize::from(is_taken);
            if is_taken || was_read(path) {
                continue;
            }
            match kind {
                _ if *dangling => account.leave_out(true, DANGLING, path),
                _ if of_other_parts.contains(path) => account.leave_out(false, "tables and lists of other parts", path),
                Kind::Image => account.leave_out(whole, unlisted, path),
                Kind::UnreadImage => account.leave_out(true, &unread, path),
                Kind::Table => account.leave_out(true, &format!("tables ({})", why(path)), path),
                Kind::Mask => account.leave_out(
                    true,
                    "masks, by the names of their folders (--data with such a folder reads it)",
                    path,
                ),
                Kind::Archive => {
                    account.leave_out(true, "archives, in which nothing is looked for (unpack them)", path)
                }
                Kind::Other if is_json_table(path) => {
                    account.leave_out(
                        true,
                        "tables (JSON; save them as CSV, pandas: pd.read_json(...).to_csv(...))",
                        path,
                    );
                }
                Kind::Hidden | Kind::System | Kind::Other => account.leave_out(false, "other files", path),
            }
        }
        account.sorted()
    }
}

/// Whether a file may be a table that somebody meant to be read: JSON beside the folders of the images, not beside each, and
/// not what [`crate::synth::write`] says of its own set.
fn is_json_table(path: &str) -> bool {
    matches!(ending(Path::new(path)).as_str(), "json" | "jsonl") && !path.contains('/') && path != "synth.json"
}

/// Where a file really is; of a link that leads nowhere, where the link is.
fn canonical(path: &Path, dangling: bool) -> Option<PathBuf> {
    match dangling {
        true => Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?)),
        false => path.canonicalize().ok(),
    }
}

fn leave_out_system(account: &mut Account, kind: Kind, name: &str) {
    let reason = match kind {
        Kind::Hidden => "hidden files and folders",
        _ => "thumbnails and other files of the system",
    };
    account.leave_out(false, reason, name);
}

/// The name of a file in lower case, without folders, and without the ending of an image.
fn stem(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = match name.rsplit_once('.') {
        Some((stem, _)) if has_image_ending(Path::new(name)) => stem,
        _ => name,
    };
    stem.to_lowercase()
}

/// Whether a `run.json` is one of this tool's: it names the command, and the version under the name of the tool.
fn is_run(path: &Path) -> bool {
    let Ok(text) = limits::note(path) else { return false };
    let record: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
    record.get("command").is_some() && record.get("moco_cxr").is_some()
}
