//! Heat maps of a classifier's scores on chosen images.

mod write;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use backbones::{Classifier, Network};
use cxr_data::{Manifest, Part};
use eval::grad_cam;
use ndarray::{Array2, Axis};

use crate::{
    data::{Rows, Sources},
    error::{Error, Result},
    files::{Watch, over},
    study::{
        Study,
        examples::examples_of,
        features::{loader, one_view},
        named::named_rows,
        predict::{classifier_of, with_labels_of},
    },
    weights::{LoadedNetwork, Weights},
};

/// Pixels of an image for each place of the last maps, along a side, of every architecture.
const STRIDE: usize = 32;

/// Which heat maps are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explaining {
    /// Labels of the classifier. Default: none, for all of them.
    pub tasks: Vec<String>,
    /// Paths of images in the data set. Default: none, for those that show for each task what the classifier does: of images with
    /// the finding the highest scores and the lowest, of the others the highest; or the highest scores of a set without labels.
    pub images: Vec<String>,
    /// Most images of a task, if none are named. Default: 4.
    pub most: usize,
    /// The part the images are from. Default: all if they are named, otherwise the test part, or else the valid or training part.
    pub part: Option<Part>,
    /// Whether the contact sheet names no image, so that it may be passed on. Default: no.
    pub private: bool,
}

impl Default for Explaining {
    fn default() -> Self {
        Self { tasks: Vec::new(), images: Vec::new(), most: 4, part: None, private: false }
    }
}

/// Heat maps of a classifier.
#[derive(Debug)]
pub struct Explanation {
    /// Lines of the contact sheet, each of one row or more: one for each image if they were named, otherwise one for each task.
    lines: Vec<Vec<Heat>>,
    /// `[S, S]` of every row that has a heat map.
    views: Views,
    rows: Arc<Rows>,
    network: LoadedNetwork,
    private: bool,
}

/// Images by their rows, `[S, S]`.
type Views = BTreeMap<usize, Array2<u8>>;

/// An image and a task of which there is to be a heat map.
#[derive(Debug, Clone, Copy)]
struct Pick {
    row: usize,
    task: usize,
    /// Why the image was chosen.
    chosen: &'static str,
}

/// The heat map of an image and a task.
#[derive(Debug)]
struct Heat {
    pick: Pick,
    logit: f64,
    /// `[h, w]`
    map: Array2<f64>,
}

impl Study<'_> {
    /// Computes Grad-CAM heat maps ([`eval::grad_cam`]) of an exported classifier. They show what the network used, not where
    /// a disease is.
    ///
    /// # Errors
    /// Weights without a classifier; a task that it does not have; an image that is not in the set; data that cannot be read;
    /// or a failing device.
    pub fn explain(
        sources: &Sources,
        weights: &Weights,
        explaining: &Explaining,
        watch: &dyn Watch,
    ) -> Result<Explanation> {
        sources.reading.validate()?;
        if explaining.most == 0 {
            return Err(Error::Setting { key: "images".into(), found: "0".into(), expected: "at least 1".into() });
        }
        let network = weights.load(watch)?;
        let classifier = classifier_of(&network)?;
        let tasks = tasks_of(&network, &explaining.tasks)?;
        let sources = &with_labels_of(sources, &network);
        let named = !explaining.images.is_empty();
        let part = match explaining.part {
            Some(part) => part,
            None if named => Part::All,
            None => part_to_show(sources)?,
        };
        // Where images are named the others are not checked first.
        let rows = match named {
            true => Rows::listed(sources, part, watch)?,
            false => sources.rows(part, &network.views, watch)?,
        };
        let rows = Arc::new(rows);
        network.lineage.note_known("heat maps", &rows, &sources.listed, watch);
        let places = network.views.size.div_ceil(STRIDE);
        if places <= 2 {
            watch.note(&format!(
                "images of {} px: a heat map has {places} x {places} places, and can hardly say where; weights of larger images can",
                network.views.size
            ));
        }
        let lines: Vec<Vec<Pick>> = if named {
            let images = named_rows(rows.manifest(), &explaining.images, "image")?;
            images.iter().map(|&row| tasks.iter().map(|&task| Pick { row, task, chosen: "named" }).collect()).collect()
        } else {
            let loader = loader(&rows, rows.readable(), network.views, sources.reading, 0)?;
            let batches = over(watch, rows.readable().len(), loader.in_order::<u8>().map(one_view));
            let (logits, scored) = eval::predict(&classifier, batches)?;
            let line = |&task: &usize| {
                let scores = scored.iter().copied().zip(logits.column(task).iter().copied()).collect();
                let found = examples_of(rows.manifest(), &network.labels[task], scores, explaining.most);
                found.into_iter().map(|(chosen, row)| Pick { row, task, chosen }).collect()
            };
            tasks.iter().map(line).collect()
        };
        Explainer { network: &network, classifier, rows: &rows, sources, watch }
            .heat(&lines)
            .map(|(lines, views)| Explanation { lines, views, rows, network, private: explaining.private })
    }
}

/// Places of these labels among those of the classifier, each once; of all, if none are named.
fn tasks_of(network: &LoadedNetwork, names: &[String]) -> Result<Vec<usize>> {
    if names.is_empty() {
        return Ok((0..network.labels.len()).collect());
    }
    let labels = Manifest { tasks: network.labels.clone(), ..Manifest::default() };
    let mut found = labels.task_indices(names)?;
    let mut seen = BTreeSet::new();
    found.retain(|&task| seen.insert(task));
    Ok(found)
}

/// The part whose images say most of a classifier: the test part, else the validation part, else the training part.
fn part_to_show(sources: &Sources) -> Result<Part> {
    // Without the folder, what reads it says so.
    let parts = if sources.train.is_dir() { &[Part::Test, Part::Valid][..] } else { &[] };
    for &part in parts {
        match sources.table(&sources.train, part) {
            Ok(_) => return Ok(part),
            Err(cxr_data::Error::Layout { .. }) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(Part::Train)
}

struct Explainer<'e> {
    network: &'e LoadedNetwork,
    classifier: Classifier<Network>,
    rows: &'e Rows,
    sources: &'e Sources,
    watch: &'e dyn Watch,
}

impl Explainer<'_> {
    /// Heat maps, in their lines, and the images.
    fn heat(&self, lines: &[Vec<Pick>]) -> Result<(Vec<Vec<Heat>>, Views)> {
        let pairs: BTreeSet<(usize, usize)> = lines.iter().flatten().map(|pick| (pick.row, pick.task)).collect();
        let wanted: Vec<usize> = pairs.iter().map(|pair| pair.0).collect::<BTreeSet<_>>().into_iter().collect();
        let tasks: BTreeSet<usize> = pairs.iter().map(|pair| pair.1).collect();
        let loader = loader(self.rows, &wanted, self.network.views, self.sources.reading, 0)?;
        let (mut maps, mut views) = (BTreeMap::new(), BTreeMap::new());
        for batch in over(self.watch, wanted.len(), loader.in_order::<u8>().map(one_view)) {
            let (images, came) = batch?;
            for &task in &tasks {
                let places: Vec<usize> = (0..came.len()).filter(|&at| pairs.contains(&(came[at], task))).collect();
                if places.is_empty() {
                    continue;
                }
                let cam = grad_cam(&self.classifier, &images.select(Axis(0), &places), task)?;
                for ((&place, logit), map) in places.iter().zip(cam.logits).zip(cam.maps.outer_iter()) {
                    maps.insert((came[place], task), (logit, map.to_owned()));
                }
            }
            views.extend(came.into_iter().zip(images.outer_iter().map(|image| image.to_owned())));
        }
        for &task in &tasks {
            // High only because little speaks against the finding, as a linear head on standardised features can be.
            let empty = |((_, of), (logit, map)): &(&(usize, usize), &(f64, Array2<f64>))| {
                *of == task && *logit > 0.0 && map.iter().all(|&heat| heat <= 0.0)
            };
            let count = maps.iter().filter(empty).count();
            if count > 0 {
                self.watch.note(&format!(
                    "{}: {count} heat maps are empty though the probability is above one half: no place of the image speaks for the \
                     finding by itself; a fine-tuned network says more",
                    self.network.labels[task]
                ));
            }
        }
        let heat = |&pick: &Pick| {
            let missing = || Error::OtherRows { place: pick.row, came: None, asked: Some(pick.row) };
            let (logit, map) = maps.get(&(pick.row, pick.task)).cloned().ok_or_else(missing)?;
            Ok(Heat { pick, logit, map })
        };
        let lines = lines.iter().map(|line| line.iter().map(heat).collect()).collect::<Result<_>>()?;
        Ok((lines, views))
    }
}

impl Explanation {
    /// Number of heat maps.
    pub fn maps(&self) -> usize {
        self.lines.iter().map(Vec::len).sum()
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.views.len()
    }

    /// Description of the network's weights.
    pub fn weights(&self) -> &str {
        &self.network.provenance
    }
}
