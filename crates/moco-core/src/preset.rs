//! Published and tested settings, every number with its source.

use backbones::Arch;

use crate::{Decay, MocoConfig, OptimizerConfig, QueueInit, Rule, Schedule, TrainConfig};

/// Settings with a name, and the network and image size they are meant for.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    /// Its name, as given to `--preset`.
    pub name: &'static str,
    /// Its purpose, in one line.
    pub purpose: &'static str,
    /// Architecture.
    pub arch: Arch,
    /// Whether to start from ImageNet weights (otherwise from random ones).
    pub imagenet: bool,
    /// Side of a view, in pixels.
    pub image_size: usize,
    /// All other settings.
    pub train: TrainConfig,
}

impl Preset {
    /// All presets.
    pub fn all() -> [Self; 4] {
        [Self::moco_cxr(), Self::moco_v2(), Self::small(), Self::medaug()]
    }

    /// The preset of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|preset| preset.name == name)
    }

    /// MoCo-CXR as published (Sowrirajan et al., arXiv:2010.05352), its `r8w1n416.sh`: ResNet18 from ImageNet, 320 px
    /// (`main_moco.py` default; the paper says 224), batch 16, Adam 1e-4 with coupled weight decay 1e-4 on all tensors,
    /// K 24,576 and m 0.999 (defaults), T 0.2, MLP head, 20 epochs, rate x0.1 at epochs 12 and 18 (and 24). It ran on
    /// one GPU, hence one group; the permutation of keys has no effect then.
    pub fn moco_cxr() -> Self {
        let train = TrainConfig {
            seed: 0,
            epochs: 20,
            batch_size: 16,
            accumulate: 1,
            clip_norm: None,
            moco: MocoConfig::new(),
            optimizer: OptimizerConfig::new(Rule::ADAM, 1e-4),
            schedule: Schedule {
                lr: 1e-4,
                warmup_epochs: 0.0,
                decay: Decay::Milestones { epochs: vec![12, 18, 24], factor: 0.1 },
            },
        };
        let purpose = "MoCo-CXR as published (r8w1n416): CheXpert from ImageNet weights";
        Self { name: "moco-cxr", purpose, arch: Arch::ResNet18, imagenet: true, image_size: 320, train }
    }

    /// MoCo v2 (Chen et al., arXiv:2003.04297; `facebookresearch/moco`, README and defaults of `main_moco.py`):
    /// ResNet50 at 224 px, batch 256, SGD 0.03 with momentum 0.9 and weight decay 1e-4, K 65,536, m 0.999, T 0.2, MLP
    /// head, 200 epochs with a cosine. It ran on eight GPUs, hence eight groups with shuffled keys.
    pub fn moco_v2() -> Self {
        let train = TrainConfig {
            epochs: 200,
            batch_size: 256,
            moco: MocoConfig { queue_size: 65_536, groups: 8, ..MocoConfig::new() },
            optimizer: OptimizerConfig::new(Rule::SGD, 1e-4),
            schedule: Schedule { lr: 0.03, warmup_epochs: 0.0, decay: Decay::Cosine },
            ..Self::moco_cxr().train
        };
        let purpose = "MoCo v2 as published for ImageNet: large batches, from random weights";
        Self { name: "moco-v2", purpose, arch: Arch::ResNet50, imagenet: false, image_size: 224, train }
    }

    /// For a few thousand images from random weights; our own, not published. K 1,024 is smaller than the data set (a
    /// longer queue would hold older keys of the query's own image); a masked queue spends no step on random rows; two
    /// groups prevent the batch-norm leak; warm-up stabilises Adam's first steps from random weights. m is the paper's
    /// 0.999: in the first epochs the query encoder changes quickly, and with 0.99 keys reveal their age, so that the
    /// newest key is found without regard to the image (observed: the loss falls while the effective rank of the keys
    /// falls from 80 to 9).
    pub fn small() -> Self {
        let moco = MocoConfig { queue_size: 1024, queue_init: QueueInit::Masked, groups: 2, ..MocoConfig::new() };
        let train = TrainConfig {
            epochs: 100,
            batch_size: 32,
            moco,
            schedule: Schedule { lr: 3e-4, warmup_epochs: 2.0, decay: Decay::Cosine },
            ..Self::moco_cxr().train
        };
        let purpose = "a few thousand images, from random weights";
        Self { name: "small", purpose, arch: Arch::ResNet18, imagenet: false, image_size: 128, train }
    }

    /// MedAug (Vu et al., MLHC 2021): MoCo-CXR's settings ("same hyperparameters as r8w1n416"). Only the data differ:
    /// the key is another image of the same patient and study.
    pub fn medaug() -> Self {
        let purpose = "MedAug: MoCo-CXR's settings with another image of the same study as key";
        Self { name: "medaug", purpose, ..Self::moco_cxr() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_found_by_name() {
        for preset in Preset::all() {
            preset.train.validate().expect(preset.name);
            assert_eq!(Preset::named(preset.name).as_ref(), Some(&preset));
        }
        assert_eq!(Preset::named("moco"), None);
    }

    #[test]
    fn constants_of_a_rule_may_be_left_out_but_not_misspelt() {
        let read = |text: &str| serde_json::from_str::<OptimizerConfig>(text);
        let short = r#"{"rule": {"name": "adam"}, "weight_decay": 1e-4, "decay_norm_and_bias": true}"#;
        assert_eq!(read(short).expect("valid"), Preset::moco_cxr().train.optimizer);
        let error = read(&short.replace("\"adam\"", "\"adam\", \"epsilon\": 1")).expect_err("misspelt");
        assert!(error.to_string().contains("epsilon"), "{error}");
    }
}
