//! Which features a study computes: of the rows of its label draws and those that it scores, each once, and none that are
//! kept from before.

use std::{cell::Ref, sync::Arc};

use backbones::Network;
use cxr_data::PixelHash;
use eval::{running_statistics, set_running_statistics};
use ndarray::{Axis, concatenate};

use super::{
    Statistics, Study,
    arm::{Arm, Features},
    feature_cache::Key,
    feature_source::FeatureSource,
    features::{adapt_statistics, statistics_rows},
    outcome::check_reported,
};
use crate::{
    data::Labelled,
    error::{Error, Result},
};

impl Study<'_> {
    /// The study's network with features of these training rows, and of all validation and test rows. A row's features are
    /// computed once, whatever is asked for later.
    ///
    /// # Errors
    /// An image that cannot be read, a device error, or test rows that cannot be reported on.
    pub(super) fn arm(&self, places: &[usize]) -> Result<Ref<'_, Arm>> {
        check_reported(&self.test)?;
        let kept = self.arm.borrow_mut().take();
        let arm = match kept {
            Some(arm) => self.grown(arm, places)?,
            None => {
                let name = if self.network.is_raw() { "random" } else { "trained" };
                self.arm_of(name, self.network.network.clone(), places)?
            }
        };
        *self.arm.borrow_mut() = Some(arm);
        Ref::filter_map(self.arm.borrow(), Option::as_ref).map_err(|_| Error::Setting {
            key: "arm".into(),
            found: "none".into(),
            expected: "the arm that was just kept".into(),
        })
    }

    /// The same network with random weights.
    ///
    /// # Errors
    /// As [`Self::arm`]; or the statistics that the weights came with, which random weights do not have.
    pub(super) fn random_arm(&self, places: &[usize]) -> Result<Arm> {
        if self.protocol.statistics == Statistics::Own {
            let found = "own, with a random baseline".into();
            let expected = "training, which treats both networks alike".into();
            return Err(Error::Setting { key: "statistics".into(), found, expected });
        }
        self.arm_of("random", self.network.config.init(self.protocol.seed, &self.network.device()), places)
    }

    /// Features of these training rows by the network as it came, for a head that the network is trained further.
    pub(super) fn own_features(&self, places: &[usize]) -> Result<Features> {
        let network = &self.network.network;
        let key = self.source().key_of(network).map(Key::with_own_statistics);
        let rows: Vec<usize> = places.iter().map(|&place| self.train.rows()[place]).collect();
        let values = self.source().features_of(network, key.as_ref(), self.train.set(), &rows)?;
        Ok(Features { labelled: self.train.clone(), places: places.to_vec(), values })
    }

    fn arm_of(&self, name: &str, mut network: Network, places: &[usize]) -> Result<Arm> {
        let key = self.source().key_of(&network);
        let key = match self.protocol.statistics {
            Statistics::Training => self.adapted(name, &mut network, key)?,
            Statistics::Own if self.network.is_raw() => {
                let found = "own, with random weights, which have none".into();
                return Err(Error::Setting { key: "statistics".into(), found, expected: "training".into() });
            }
            Statistics::Own => key.map(Key::with_own_statistics),
        };
        let of = |part: &Arc<Labelled>, places: Vec<usize>| -> Result<Features> {
            let rows: Vec<usize> = places.iter().map(|&place| part.rows()[place]).collect();
            let values = self.source().features_of(&network, key.as_ref(), part.set(), &rows)?;
            Ok(Features { labelled: part.clone(), places, values })
        };
        let whole = |part: &Arc<Labelled>| of(part, (0..part.rows().len()).collect());
        let train = of(&self.train, places.to_vec())?;
        let valid = self.valid.as_ref().map(whole).transpose()?;
        let test = whole(&self.test)?;
        Ok(Arm { network, train, valid, test, key })
    }

    /// The arm with features of more training rows.
    fn grown(&self, mut arm: Arm, places: &[usize]) -> Result<Arm> {
        let Features { places: has, .. } = &arm.train;
        let missing: Vec<usize> = places.iter().copied().filter(|place| has.binary_search(place).is_err()).collect();
        if missing.is_empty() {
            return Ok(arm);
        }
        let rows: Vec<usize> = missing.iter().map(|&place| self.train.rows()[place]).collect();
        let more = self.source().features_of(&arm.network, arm.key.as_ref(), self.train.set(), &rows)?;
        let all: Vec<usize> = arm.train.places.iter().copied().chain(missing).collect();
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_unstable_by_key(|&i| all[i]);
        let values = concatenate![Axis(0), arm.train.values, more].select(Axis(0), &order);
        (arm.train.places, arm.train.values) = (order.iter().map(|&i| all[i]).collect(), values);
        Ok(arm)
    }

    /// Replaces the running statistics by those of unaugmented training images, and returns the key of the result. Every
    /// network gets them from the same images in the same way, so that two networks differ in their weights alone.
    fn adapted(&self, name: &str, network: &mut Network, key: Option<Key>) -> Result<Option<Key>> {
        let (rows, seed) = (self.parts.train(), self.protocol.seed);
        let drawn = statistics_rows(rows, seed);
        let pixels: Vec<Option<PixelHash>> = rows.pixels_of(&drawn);
        let how = format!("statistics, batches of {}, seed {seed}", self.reading.batch_size);
        let key = key.and_then(|key| key.then_images(&how, &pixels));
        // Under a key of their own: under `key` lie the features.
        let of_numbers = key.as_ref().map(|key| key.then("numbers", &[]));
        let kept = self.cache.as_ref().zip(of_numbers.as_ref());
        if let Some(values) = kept.and_then(|(cache, key)| cache.numbers(key, self.watch)) {
            set_running_statistics(network, &values)?;
            return Ok(key);
        }
        let images = drawn.len();
        self.watch.note(&format!(
            "running statistics of the {name} network are estimated on {images} training images, not augmented"
        ));
        adapt_statistics(network, rows, self.network.views, self.reading, seed, self.watch)?;
        if let Some((cache, key)) = kept {
            cache.keep_numbers(key, &running_statistics(network)?, self.watch);
        }
        Ok(key)
    }

    /// Where the features of this study come from.
    fn source(&self) -> FeatureSource<'_> {
        let Self { network, reading, cache, watch, .. } = self;
        FeatureSource { loaded: network, reading: *reading, cache: cache.as_ref(), watch: *watch }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        cell::RefCell,
        fs,
        path::{Path, PathBuf},
    };

    use backbones::Arch;
    use cxr_data::synth::{Finding, SynthConfig, write};
    use eval::Knn;
    use ndarray::{Array2, Array3};
    use tempfile::TempDir;

    use super::*;
    use crate::study::arm::union;
    use crate::{
        data::{Labels, Sources, label_draws},
        device::DeviceChoice,
        files::Watch,
        study::{Baseline, Outcome, Protocol},
        weights::{Weights, export_weights},
    };

    /// Counts the images of every pass through a network, and keeps the notes.
    #[derive(Default)]
    struct Counter {
        passes: RefCell<Vec<u64>>,
        notes: RefCell<String>,
    }

    impl Watch for Counter {
        fn note(&self, text: &str) {
            self.notes.borrow_mut().push_str(text);
        }

        fn progress(&self, done: u64, total: u64) {
            if done == 0 {
                self.passes.borrow_mut().push(total);
            }
        }
    }

    fn config() -> SynthConfig {
        SynthConfig { train_patients: 80, valid_patients: 0, test_patients: 24, size: 40, ..SynthConfig::default() }
    }

    fn set() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        write(&config(), &folder.path().join("set")).unwrap();
        folder
    }

    fn random() -> Weights {
        Weights { device: DeviceChoice::CPU, ..Weights::random(Arch::ResNet18, 32) }
    }

    fn protocol() -> Protocol {
        let mut protocol = Protocol::default();
        (protocol.fractions, protocol.draws) = (vec![0.2, 0.1], 2);
        protocol.bootstrap.replicates = 40;
        protocol
    }

    fn study<'w>(set: &Path, weights: &Weights, protocol: &Protocol, watch: &'w dyn Watch) -> Study<'w> {
        let labels = Labels::new([Finding::PleuralEffusion.column()]);
        Study::open(&Sources::new(set), weights, &labels, protocol, watch).unwrap()
    }

    fn scores(outcome: &Outcome) -> Vec<Array2<f64>> {
        outcome.scores().iter().flatten().map(|draw| draw.scores().to_owned()).collect()
    }

    /// Every image file below a folder, sorted.
    fn images(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => found.extend(images(&path)),
                false => found.extend(path.extension().is_some_and(|e| e == "jpg").then_some(path)),
            }
        }
        found.sort();
        found
    }

    #[test]
    fn features_are_computed_of_drawn_and_scored_rows_alone_and_once() {
        let folder = set();
        let watch = Counter::default();
        let open = || study(&folder.path().join("set"), &random(), &protocol(), &watch);
        let one = open();
        let draws =
            [0.2, 0.1].map(|fraction| label_draws(&one.train, fraction, one.protocol.label_draws(), 2).unwrap());
        let drawn = union(draws.iter().flatten());
        let [all, rows, test] = [one.train.rows().len(), drawn.len(), one.test.rows().len()].map(|n| n as u64);
        assert!(2 * rows < all, "{rows} of {all}");

        watch.passes.take();
        let found = scores(one.linear(Baseline::Random).unwrap().outcome());
        // Statistics (also of rows without a label), drawn rows, scored rows; for either network.
        let readable = one.parts.train().readable().len() as u64;
        assert_eq!(watch.passes.take(), [readable, rows, test, readable, rows, test]);
        one.linear(Baseline::None).unwrap();
        one.linear_at(&[0.1], 1, Baseline::None).unwrap();
        assert!(watch.passes.take().is_empty());
        one.knn(Knn { k: 3, ..Knn::default() }).unwrap();
        one.linear_at(&[1.0], 1, Baseline::None).unwrap();
        // knn takes draws of one class too, so that its draws may be others; no row is computed twice.
        assert_eq!(watch.passes.take().iter().sum::<u64>(), all - rows);

        // The same bits as from features of all rows, which go through the network in other batches.
        let other = open();
        let every: Vec<usize> = (0..other.train.rows().len()).collect();
        let whole = other.arm(&every).unwrap().train.at(&drawn).unwrap();
        assert_eq!(open().arm(&drawn).unwrap().train.at(&drawn).unwrap(), whole);
        assert_eq!(scores(other.linear(Baseline::None).unwrap().outcome()), found);
    }

    #[test]
    fn kept_features_are_taken_for_the_same_images_and_weights_only() {
        let folder = set();
        let (data, kept) = (folder.path().join("set"), folder.path().join("kept"));
        let run = |weights: &Weights, protocol: &Protocol| {
            let watch = Counter::default();
            let study = study(&data, weights, protocol, &watch).with_features_kept_in(&kept);
            watch.passes.take();
            let found = scores(study.linear(Baseline::None).unwrap().outcome());
            (found, watch.passes.take(), watch.notes.take(), study.train.rows().len() as u64)
        };
        let (first, passes, _, labelled) = run(&random(), &protocol());
        let [all, rows, test] = passes[..] else { panic!("{passes:?}") };
        let (again, passes, notes, _) = run(&random(), &protocol());
        assert_eq!((again, passes.len()), (first.clone(), 0));
        assert!(notes.contains("were kept from before"), "{notes}");
        let without = study(&data, &random(), &protocol(), &()).linear(Baseline::None).unwrap();
        assert_eq!(scores(without.outcome()), first);

        // Only the rows that were in no draw before.
        let more = Protocol { fractions: vec![1.0], ..protocol() };
        assert_eq!(run(&random(), &more).1, [labelled - rows]);
        // Other weights, another size of the images.
        assert_eq!(run(&Weights { seed: 1, ..random() }, &protocol()).1, [all, rows, test]);
        assert_eq!(run(&Weights { image_size: Some(40), ..random() }, &protocol()).1, [all, rows, test]);

        // An image that changed under the same name.
        let second = SynthConfig { seed: 9, train_patients: 4, test_patients: 0, ..config() };
        write(&second, &folder.path().join("second")).unwrap();
        let others = images(&folder.path().join("second"));
        let opened = study(&data, &random(), &protocol(), &());
        let path = |part: &Labelled| part.manifest().image_path(part.rows()[0]);
        let (test_image, train_image) = (path(&opened.test), path(&opened.train));
        fs::copy(&others[0], test_image).unwrap();
        let (after, passes, ..) = run(&random(), &protocol());
        assert_eq!(passes, [1], "the changed image alone");
        assert_ne!(after, first);

        // Nothing of the set but hashes is in the folder. Damaged files are computed again, and said.
        let mut files = 0;
        for key in fs::read_dir(&kept).unwrap() {
            for file in fs::read_dir(key.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let mut content = fs::read(&path).unwrap();
                assert!(
                    !["patient", "view1"].iter().any(|name| content.windows(name.len()).any(|w| w == name.as_bytes()))
                );
                let last = content.len() - 40;
                content[last] ^= 0x10;
                fs::write(&path, content).unwrap();
                files += 1;
            }
        }
        assert!(files > 8, "{files}");
        let (repaired, passes, notes, _) = run(&random(), &protocol());
        assert_eq!((repaired, passes), (after.clone(), vec![all, rows, test]));
        assert!(notes.contains("is damaged and deleted"), "{notes}");
        // An image of the statistics that changed makes other features of all.
        fs::copy(&others[1], train_image).unwrap();
        assert_eq!(run(&random(), &protocol()).1, [all, rows, test]);
    }

    /// What a pretraining of no use leaves: the weights as they were drawn, with the statistics of other images.
    fn untrained(folder: &Path) -> Weights {
        let drawn = Weights { device: DeviceChoice::CPU, ..Weights::random(Arch::ResNet18, 32) };
        let loaded = drawn.load(&()).unwrap();
        let mut network = loaded.network().clone();
        let images = Array3::from_shape_fn((8, 32, 32), |(i, y, x)| (i * 7 + y * 11 + x * 13) as u8);
        let batches = [Ok::<_, cxr_data::Error>((images, (0..8).collect()))];
        eval::estimate_running_statistics(&mut network, batches).unwrap();
        export_weights(&loaded.adapted(network), folder, false).unwrap();
        Weights { device: DeviceChoice::CPU, ..Weights::new(folder.display().to_string()) }
    }

    #[test]
    fn an_untrained_network_in_the_place_of_the_pretrained_one_is_the_baseline() {
        let folder = set();
        let weights = untrained(&folder.path().join("export"));
        let mut own = protocol();
        own.unchecked_pretraining = true;
        let watch = ();
        let alike = study(&folder.path().join("set"), &weights, &own, &watch);
        let found = alike.linear(Baseline::Random).unwrap();
        for task in found.outcome().results().iter().flat_map(|result| &result.tasks) {
            assert_eq!(Some(&task.auroc), task.baseline.as_ref());
            let difference = task.difference.as_ref().unwrap();
            assert_eq!((difference.estimate, difference.limits()), (0.0, (0.0, 0.0)));
        }
        assert!(found.outcome().stamp().protocol.as_ref().unwrap().contains("running statistics of training images"));

        // With the statistics that it came with it has other features, and no random baseline is like it.
        own.statistics = Statistics::Own;
        let other = study(&folder.path().join("set"), &weights, &own, &watch);
        assert_ne!(scores(other.linear(Baseline::None).unwrap().outcome()), scores(found.outcome()));
        let fault = other.linear(Baseline::Random).unwrap_err().to_string();
        assert!(fault.contains("own, with a random baseline"), "{fault}");
        let raw = study(&folder.path().join("set"), &random(), &own, &watch);
        let fault = raw.linear(Baseline::None).unwrap_err().to_string();
        assert!(fault.contains("which have none"), "{fault}");
    }
}
