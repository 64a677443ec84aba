//! A device that goes away within a run: an error with the remedy, and the last checkpoint as it was.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::atomic::{AtomicUsize, Ordering};

use moco_cxr::{
    DeviceChoice, Error, PretrainSettings,
    backbones::{Backbone, BatchNorm, Conv2d, Initializer, Mode},
    burn::{module::Module, tensor::Device, tensor::Tensor, tensor::activation::relu},
    device::{Backend, guard},
    moco_core::{Batch, BatchSource, BoxError, Checkpoints, End, HostBatch, Keep, Trainer},
};
use ndarray::Array3;

/// Forward passes until the driver goes away.
static LEFT: AtomicUsize = AtomicUsize::new(usize::MAX);

#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm,
}

impl Backbone for Net {
    fn feature_dim(&self) -> usize {
        4
    }
    fn features(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        // As Burn does where wgpu or CUDA report a fault: its operations return no `Result`.
        assert!(LEFT.fetch_sub(1, Ordering::Relaxed) > 0, "Parent device is lost");
        let x = relu(self.norm.forward(self.conv.forward(images), mode)); // [N, 4, 8, 8]
        x.mean_dims(&[2, 3]).reshape([-1, 4])
    }
}

const BATCHES: usize = 4;

struct Data;

impl BatchSource for Data {
    fn batches_per_epoch(&self) -> usize {
        BATCHES
    }
    fn epoch(&mut self, epoch: u64, first: usize) -> Box<dyn Iterator<Item = Result<Batch, BoxError>> + '_> {
        Box::new((first..BATCHES).map(move |batch| {
            let number = epoch as usize * BATCHES + batch;
            let view = |side| Array3::from_shape_fn((4, 16, 16), |(i, y, x)| ((number * 4 + i + side) * (y + x)) as u8);
            Ok(HostBatch { query: view(1), key: view(2), patients: vec![0; 4] }.into())
        }))
    }
}

fn trainer(folder: &std::path::Path) -> Trainer<Net> {
    let mut init = Initializer::new(0, &Device::flex());
    let net = Net { conv: init.conv2d(1, 4, 3, 2, 1), norm: init.batch_norm(4) };
    let mut config = PretrainSettings::named("small", "data").unwrap().train;
    (config.epochs, config.batch_size, config.moco.queue_size, config.moco.groups) = (3, 4, 16, 1);
    let mut trainer = config.init(net).unwrap();
    trainer.checkpoints = Some(Checkpoints::new(folder, Keep::default()));
    trainer.in_flight = 2; // as on a GPU
    trainer
}

#[test]
fn a_device_lost_within_a_run_leaves_the_last_checkpoint_to_go_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let mut undisturbed = trainer(&folder.path().join("undisturbed"));
    assert_eq!(undisturbed.run(&mut Data, &mut ()).unwrap(), End::Finished);

    // Query and key are two passes a step: lost in the second half of the seventh step, the third of the second epoch.
    let lost = folder.path().join("lost");
    LEFT.store(13, Ordering::Relaxed);
    let gpu = DeviceChoice::On(Backend::Wgpu, 0);
    let fault = guard(gpu, || Ok::<_, Error>(trainer(&lost).run(&mut Data, &mut ())?)).unwrap_err().to_string();
    assert!(fault.contains("wgpu:0") && fault.contains("Parent device is lost"), "{fault}");
    assert!(fault.contains("--device cpu") && fault.contains("checkpoints written before are kept"), "{fault}");

    LEFT.store(usize::MAX, Ordering::Relaxed);
    let mut resumed = trainer(&lost);
    let found = resumed.resume_newest().unwrap();
    assert!(found.ignored.is_empty());
    assert_eq!(resumed.position().step, BATCHES as u64);
    assert_eq!(resumed.run(&mut Data, &mut ()).unwrap(), End::Finished);
    let weights = |trainer: &Trainer<Net>| trainer.moco.encoder_q.backbone.conv.weight.val().into_data();
    weights(&resumed).assert_eq(&weights(&undisturbed), true);
}
