//! Running statistics for a network with random weights.
//!
//! A network with random weights starts with running means of 0 and variances of 1, which are not those of its
//! activations; in eval mode its features then reflect that mismatch more than the random weights. Before such a
//! network is probed (as the lower bound of a comparison), it gets the statistics that training would have given it;
//! its weights do not change.

use std::collections::BTreeMap;

use backbones::{Backbone, Mode, TensorKind, TensorMapper, TensorVisitor, map_tensors, visit_tensors};
use burn::{
    module::{Module, Param},
    tensor::{Tensor, TensorData},
};
use ndarray::Array3;

use super::images::{BatchError, check_batch, device_of, read, upload};
use crate::error::{Error, Result};

/// Replaces all running statistics by the average of the batches' statistics with equal weights, as PyTorch's batch
/// normalisation with `momentum=None` does in one pass in train mode (`torch.optim.swa_utils.update_bn`).
///
/// Works with any network that blends linearly, `(1 - m) * running + m * batch`, for unknown m: from running statistics
/// of zero a pass leaves `m * batch`, and a second pass of the same batch leaves `(2 - m)` times that.
///
/// # Shapes
/// - each batch: images `[B, S, S]` u8, B at least 2 and preferably the batch size of training; row numbers are not used
///
/// # Errors
/// [`Error::Batches`] with the error of a batch; no batches, or one with a single image; a device that fails.
pub fn estimate_running_statistics<B: Backbone, E: Into<BatchError>>(
    backbone: &mut B,
    batches: impl IntoIterator<Item = Result<(Array3<u8>, Vec<usize>), E>>,
) -> Result<()> {
    let mut network = backbone.valid(); // on the plain device: no tape is kept
    let device = device_of(&network)?;
    let zero: Buffers = Buffers::of(&network).map(|_, value| value.zeros_like());
    let (mut sum, mut count) = (zero.clone(), 0);
    let mut blend = BTreeMap::new();
    for batch in batches {
        let (images, rows) = batch.map_err(|e| Error::Batches(e.into()))?;
        check_batch(&images, rows.len())?;
        if rows.len() < 2 {
            let found = rows.len().to_string();
            return Err(Error::Setting {
                name: "images in a batch",
                found,
                expected: "at least 2, to have a variance",
            });
        }
        let images = upload(&images, &device);
        network = zero.write(network);
        network.features(images.clone(), Mode::TRAIN);
        let once = Buffers::of(&network); // m * batch
        if count == 0 {
            network.features(images, Mode::TRAIN);
            blend = momenta(&once, &Buffers::of(&network))?;
        }
        sum = sum.map(|name, sum| sum + once.0[name].clone());
        count += 1;
    }
    if count == 0 {
        return Err(Error::Setting { name: "batches", found: "none".to_owned(), expected: "at least one" });
    }
    let average = sum.map(|name, sum| sum / (blend[name] * f64::from(count)));
    *backbone = average.write(backbone.clone());
    Ok(())
}

/// The running statistics of a network, one after the other in the order of their names.
///
/// # Errors
/// A device that fails.
pub fn running_statistics<B: Backbone>(backbone: &B) -> Result<Vec<f32>> {
    let mut values = Vec::new();
    for buffer in Buffers::of(&backbone.valid()).0.into_values() {
        values.extend(read(buffer, "reading running statistics")?.into_iter().map(|value| value as f32));
    }
    Ok(values)
}

/// Replaces all running statistics by `values`, in the order of [`running_statistics`].
///
/// # Errors
/// Another number of values than the network has.
pub fn set_running_statistics<B: Backbone>(backbone: &mut B, values: &[f32]) -> Result<()> {
    let buffers = Buffers::of(&backbone.valid());
    let expected = buffers.0.values().map(|buffer| buffer.dims()[0]).sum();
    crate::checked::length("running statistics", values.len(), expected)?;
    let mut rest = values;
    let new = buffers.map(|_, old| {
        let (own, others) = rest.split_at(old.dims()[0]);
        rest = others;
        Tensor::from_data(TensorData::new(own.to_vec(), [own.len()]), &old.device())
    });
    *backbone = new.write(backbone.clone());
    Ok(())
}

/// m of every buffer, from `once = m * batch` and `twice = (2 - m) * once`.
fn momenta(once: &Buffers, twice: &Buffers) -> Result<BTreeMap<String, f64>> {
    let size = |buffers: &Buffers, name: &str| -> Result<f64> {
        let values = read(buffers.0[name].clone(), "reading running statistics")?;
        Ok(values.iter().map(|x| x.abs()).sum())
    };
    let mut momenta = BTreeMap::new();
    for name in once.0.keys() {
        let (once, twice) = (size(once, name)?, size(twice, name)?);
        // Statistics of exactly zero stay zero for any m.
        let m = if once > 0.0 { 2.0 - twice / once } else { 1.0 };
        if !(m > 0.0 && m < 1.0 + 1e-6) {
            let expected = "a blend (1 - m) * running + m * batch with m above 0 and up to 1";
            return Err(Error::Setting {
                name: "momentum of running statistics",
                found: format!("{m} in {name}"),
                expected,
            });
        }
        momenta.insert(name.clone(), m);
    }
    Ok(momenta)
}

/// Running statistics by name, flat.
#[derive(Debug, Clone, Default)]
struct Buffers(BTreeMap<String, Tensor<1>>);

impl Buffers {
    fn of<M: Module>(module: &M) -> Self {
        let mut buffers = Self::default();
        visit_tensors(module, &mut buffers);
        buffers
    }

    fn map(self, mut f: impl FnMut(&str, Tensor<1>) -> Tensor<1>) -> Self {
        Self(self.0.into_iter().map(|(name, value)| (name.clone(), f(&name, value))).collect())
    }

    fn write<M: Module>(&self, module: M) -> M {
        map_tensors(module, &mut Write(self))
    }
}

impl TensorVisitor for Buffers {
    fn visit<const D: usize>(&mut self, name: &str, kind: TensorKind, param: &Param<Tensor<D>>) {
        if kind == TensorKind::Buffer {
            self.0.insert(name.to_owned(), param.val().reshape([-1]));
        }
    }
}

struct Write<'a>(&'a Buffers);

impl TensorMapper for Write<'_> {
    fn map<const D: usize>(&mut self, name: &str, _: TensorKind, old: Tensor<D>) -> Tensor<D> {
        let Some(value) = self.0.0.get(name) else { return old };
        let value = value.clone().reshape(old.shape());
        if old.device().is_autodiff() { Tensor::from_inner(value) } else { value }
    }
}
