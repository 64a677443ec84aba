//! A study: network, data and protocol, checked together.

use std::{cell::RefCell, path::PathBuf, sync::Arc};

use cxr_data::Part;

use crate::{
    data::{AMONG_DRAWN, DRAWN, Labelled, Labels, Lineage, Listings, Origin, Parts, Pretraining, Reading, Sources},
    error::Result,
    files::{Once, Watch},
    study::{Conditions, Method, Outcome, Protocol, arm::Arm, feature_cache::FeatureCache},
    weights::{LoadedNetwork, Weights},
};

/// A network, labelled images in parts, and a protocol, checked together: no patient and no image is in two parts, and no
/// validation or test image was pretrained on.
///
/// [`Study::linear`], [`Study::knn`] and [`Study::fine_tune`] return outcomes that record their conditions and can be written
/// to a folder. [`Study::predict`] and [`Study::embed`] need no labels.
pub struct Study<'w> {
    pub(super) network: LoadedNetwork,
    pub(super) parts: Parts,
    pub(super) train: Arc<Labelled>,
    pub(super) valid: Option<Arc<Labelled>>,
    pub(super) test: Arc<Labelled>,
    pub(super) labels: Labels,
    pub(super) protocol: Protocol,
    pub(super) reading: Reading,
    pretraining: Pretraining,
    /// Whether its export names no folder and no file.
    pub(super) private: bool,
    pub(super) watch: &'w dyn Watch,
    /// The network with the features computed so far.
    pub(super) arm: RefCell<Option<Arm>>,
    /// Features kept between commands.
    pub(super) cache: Option<FeatureCache>,
}

impl std::fmt::Debug for Study<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Study").field("weights", &self.network.provenance).field("split", &self.parts.split()).finish()
    }
}

impl<'w> Study<'w> {
    /// Opens weights and images, and checks everything that can be checked before the work starts. `watch` receives
    /// assumptions, checks that were not possible, and progress.
    ///
    /// # Errors
    /// Settings out of range; weights or data that cannot be read; a missing task; a leak between parts, or from the images
    /// that the weights were trained on; pretraining images that are gone or have changed, so that this cannot be checked
    /// ([`Protocol::unchecked_pretraining`] skips the check).
    pub fn open(
        sources: &Sources,
        weights: &Weights,
        labels: &Labels,
        protocol: &Protocol,
        watch: &'w dyn Watch,
    ) -> Result<Self> {
        labels.validate()?;
        protocol.validate()?;
        sources.reading.validate()?;
        let network = weights.load(watch)?;
        sources.check_tasks(labels)?;
        let once = Once::new(watch); // parts are compared with each other, and with what the weights were trained on
        let parts = sources.parts(protocol.seed, Some(&network.views), &once)?;
        let pretraining = check_pretraining(&parts, &network, protocol, &sources.listed, &once)?;
        Self::of((parts, network, pretraining), sources.reading, labels, protocol, watch)
    }

    /// As [`Self::open`], with parts and weights that are open and were checked against each other
    /// ([`check_pretraining`]).
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn of(
        (parts, network, pretraining): (Parts, LoadedNetwork, Pretraining),
        reading: Reading,
        labels: &Labels,
        protocol: &Protocol,
        watch: &'w dyn Watch,
    ) -> Result<Self> {
        protocol.validate()?;
        parts.check_draws(protocol.draw_rule)?;
        let labelled = |name: &str, rows| -> Result<Arc<Labelled>> {
            let labelled = Labelled::new(rows, labels)?;
            watch.note(&format!("{name}: {}", labelled.counts()));
            Ok(Arc::new(labelled))
        };
        let said = Once::new(watch); // the parts are mostly of one set
        for rows in [Some(parts.train()), parts.valid(), Some(parts.test())].into_iter().flatten() {
            labels.notes(rows.manifest()).iter().for_each(|note| said.note(note));
        }
        let train = labelled("train", parts.train())?;
        let valid = parts.valid().map(|valid| labelled("valid", valid)).transpose()?;
        let name = if parts.test().part() == Part::Test { "test" } else { "valid, reported on" };
        let test = labelled(name, parts.test())?;
        let (labels, protocol) = (labels.clone(), protocol.clone());
        let (arm, cache, private) = (RefCell::new(None), None, false);
        Ok(Self {
            network,
            parts,
            train,
            valid,
            test,
            labels,
            protocol,
            reading,
            pretraining,
            watch,
            arm,
            cache,
            private,
        })
    }

    /// The same study with features kept in a folder, usually [`feature_folder`](crate::study::feature_folder): those that
    /// another study of the same weights, images and settings left there on this machine are not computed again, and new ones
    /// are added. Results are the same with and without. Images are known by their pixels; no path and no patient is kept.
    /// Above 4 GiB the features that were not used for the longest time are deleted.
    #[must_use]
    pub fn with_features_kept_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(FeatureCache::new(folder.into()));
        self
    }

    /// Names no folder and no file in what `export/` holds of this study, which may leave the house. Scores and `run.json`,
    /// which stay, keep their names.
    #[must_use]
    pub fn in_private(mut self, private: bool) -> Self {
        self.private = private;
        self
    }

    /// The same study, for another to watch; without the features computed so far.
    pub(super) fn watched_by<'o>(&self, watch: &'o dyn Watch) -> Study<'o> {
        Study {
            network: self.network.clone(),
            parts: self.parts.clone(),
            train: Arc::clone(&self.train),
            valid: self.valid.clone(),
            test: Arc::clone(&self.test),
            labels: self.labels.clone(),
            protocol: self.protocol.clone(),
            reading: self.reading,
            pretraining: self.pretraining,
            private: self.private,
            watch,
            arm: RefCell::new(None),
            cache: self.cache.clone(),
        }
    }

    /// The network and its weights.
    pub fn network(&self) -> &LoadedNetwork {
        &self.network
    }

    /// The parts of the data.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Whether the images that the weights were trained on were compared with the test images.
    pub fn pretraining(&self) -> Pretraining {
        self.pretraining
    }

    pub(super) fn note(&self, text: Option<String>) {
        text.iter().for_each(|text| self.watch.note(text));
    }

    /// An empty outcome with the conditions of this study.
    pub(super) fn outcome(&self, name: &'static str, method: Method<'_>) -> Outcome {
        let Self { parts, labels, protocol, .. } = self;
        let stamp = Conditions { parts, labels, protocol }.stamp(method, Some(self.pretraining));
        Outcome::new(name, &labels.tasks, &protocol.bootstrap, stamp).remarked(self.remark())
    }

    /// What a reader of the results must know of the images.
    fn remark(&self) -> Option<String> {
        if self.parts.are_drawn() {
            return Some(format!("{DRAWN}: these results say nothing about patients."));
        }
        self.network.lineage.has_drawn().then(|| AMONG_DRAWN.to_owned())
    }
}

/// Checks that no image or patient that is chosen or reported on was among those that the weights were trained on, unless
/// the protocol leaves that out.
///
/// # Errors
/// As [`Study::open`].
pub(crate) fn check_pretraining(
    parts: &Parts,
    network: &LoadedNetwork,
    protocol: &Protocol,
    listed: &Listings,
    watch: &dyn Watch,
) -> Result<Pretraining> {
    if protocol.unchecked_pretraining && network.lineage != Lineage::none() {
        watch.note("not checked: whether test patients were among the pretraining images; the results say so");
        return Ok(Pretraining::Unchecked);
    }
    let rows = [Some(parts.train()), parts.valid(), Some(parts.test())];
    let mut places: Vec<Origin> = rows.into_iter().flatten().map(|rows| rows.origin().clone()).collect();
    if let (Some(dir), Some(first)) = (&protocol.pretraining_data, places.first()) {
        places.insert(0, first.moved(dir)?);
    }
    network.lineage.check(network.lost_record(), &parts.never_seen(), &places, listed, watch)
}
