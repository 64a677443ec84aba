//! A run of version 0.1.0 is still read: `tests/old_run/` has its settings and its `run.json`, as it wrote them.
//!
//! Its checkpoints: `crates/moco-core/tests/resume.rs`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};

use moco_cxr::{
    DeviceChoice, PretrainSettings,
    backbones::{Arch, Normalization, Precision},
    cxr_data::{Dataset, OnBad, ViewConfig},
    data::Lineage,
    moco_core::{Decay, QueueInit, Rule, differences},
    pretrain::{AugmentOn, KeyFrom},
};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/old_run").join(name)
}

#[test]
fn settings_mean_what_they_meant() {
    let settings = PretrainSettings::read(&file("config.toml")).unwrap();
    settings.validate().unwrap();
    assert_eq!((settings.arch, settings.channels, settings.precision), (Arch::ResNet18, 3, Precision::F32));
    assert_eq!((settings.init.as_str(), settings.init_moco), ("random", false));
    assert_eq!((settings.device, settings.workers, settings.print_freq), (DeviceChoice::CPU, 1, 10));
    assert_eq!(settings.augment_on, AugmentOn::Host);
    assert_eq!(settings.normalization, Normalization::MOCO_CXR);
    assert_eq!(settings.views, ViewConfig::small(32));

    let data = &settings.data;
    assert_eq!((data.dir.as_path(), data.dataset, data.on_bad), (Path::new("data"), Dataset::Auto, OnBad::Fail));
    assert_eq!((data.key_from, data.in_memory, data.patient_regex.as_str()), (KeyFrom::Image, false, ""));
    assert_eq!(data.cache, Path::new(""));
    let checkpoints = settings.checkpoints;
    assert_eq!((checkpoints.every_steps, checkpoints.keep.last, checkpoints.keep.every_epochs), (0, 2, Some(5)));

    let train = &settings.train;
    assert_eq!((train.seed, train.epochs, train.batch_size), (0, 1, 8));
    assert_eq!((train.accumulate, train.clip_norm), (1, Some(5.0)));
    let moco = &train.moco;
    assert_eq!((moco.dim, moco.queue_size, moco.momentum, moco.temperature), (128, 16, 0.999, 0.2));
    assert_eq!((moco.mlp, moco.queue_init, moco.groups), (true, QueueInit::Masked, 2));
    assert_eq!((moco.shuffle_keys, moco.mask_same_patient), (true, false));
    // What came later is off.
    assert_eq!((moco.head_norm, moco.batch_negatives, moco.symmetric, moco.momentum_end), (false, false, false, None));
    assert_eq!((train.schedule.warmup_share, settings.probe.is_set()), (0.0, false));
    assert_eq!((train.optimizer.weight_decay, train.optimizer.decay_norm_and_bias), (1e-4, true));
    assert_eq!(train.optimizer.rule, Rule::ADAM);
    assert_eq!((train.schedule.lr, train.schedule.warmup_epochs), (3e-4, 2.0));
    assert_eq!(train.schedule.decay, Decay::Cosine);
}

/// Given as `--config` over a preset that has since changed, the file means what it meant: nothing that it does not name comes
/// from the preset.
#[test]
fn settings_over_a_preset_of_today_are_those_of_the_file() {
    let old = PretrainSettings::read(&file("config.toml")).unwrap();
    for preset in PretrainSettings::PRESETS {
        let over = PretrainSettings::named(preset, "elsewhere").unwrap().with_file(&file("config.toml")).unwrap();
        assert_eq!(differences(&old, &over, |_| false), Vec::<String>::new(), "{preset}");
    }
}

#[test]
fn the_images_it_was_trained_on_are_known() {
    let run: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file("run.json")).unwrap()).unwrap();
    assert_eq!(run["moco_cxr"], "0.1.0");
    let lineage: Lineage = serde_json::from_value(run["trained_on"].clone()).unwrap();
    assert!(lineage.complete);
    let [seen] = lineage.seen.as_slice() else { panic!("{lineage:?}") };
    assert_eq!((seen.images.dir.as_path(), seen.images.images), (Path::new("data"), 21));
    assert_eq!((seen.images.dataset, seen.images.divided), (Dataset::Auto, None));
    // What a resume compares its data with.
    assert_eq!(run["data"]["hash"].as_str(), Some(seen.images.hash.as_str()));
}
