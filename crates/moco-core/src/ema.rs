//! The key encoder: a moving average of the query encoder (MoCo, arXiv:1911.05722, equation 2).
//!
//! `encoder_k` is on the *inner* device, which has no tape, so that no gradient can reach it. Its batch norm still uses
//! batch statistics, because our norm layer is given its mode (Burn's own would silently use running statistics there).

use std::collections::HashMap;

use backbones::{
    TensorKind, TensorMapper, TensorVisitor,
    cpu_times::{self, Part},
    optim::{moving_average, moving_averages},
    update_tensors, visit_tensors,
};
use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

/// A separate copy on the inner device. Not `clone()`: Burn's own norm layers share running statistics between clones.
pub(crate) fn momentum_copy<M: Module>(query: &M) -> M {
    query.valid()
}

/// `k = m·k + (1 − m)·q` for every *parameter*. Running statistics are buffers and do not change: each encoder keeps
/// its own, as in the reference (`parameters()` excludes buffers; facebookresearch/moco#70).
///
/// # Panics
/// When the two modules have different tensors.
pub(crate) fn ema_update<M: Module>(key: &mut M, query: &M, momentum: f64) {
    let _t = cpu_times::time(Part::Average);
    let mut parameters = Parameters::default();
    visit_tensors(query, &mut parameters);
    let mut ready = HashMap::new();
    if let Some(together) = averages(key, &parameters.0, momentum) {
        ready = together;
    }
    update_tensors(key, &mut Blend { query: parameters.0, ready, momentum });
}

/// The new key parameters, flat, by name, where a device makes them together.
fn averages<M: Module>(
    key: &M,
    query: &HashMap<String, Tensor<1>>,
    momentum: f64,
) -> Option<HashMap<String, Tensor<1>>> {
    let mut keys = Parameters::default();
    visit_tensors(key, &mut keys);
    let (names, keys): (Vec<_>, Vec<_>) = keys.0.into_iter().unzip();
    let queries: Option<Vec<_>> = names.iter().map(|name| query.get(name).cloned()).collect();
    let new = moving_averages(&keys, &queries?, momentum)?;
    Some(names.into_iter().zip(new).collect())
}

/// Parameters by name, flat, off the tape.
#[derive(Default)]
struct Parameters(HashMap<String, Tensor<1>>);

impl TensorVisitor for Parameters {
    fn visit<const D: usize>(&mut self, name: &str, kind: TensorKind, param: &Param<Tensor<D>>) {
        if kind == TensorKind::Parameter {
            self.0.insert(name.to_owned(), param.val().inner().reshape([-1]));
        }
    }
}

struct Blend {
    query: HashMap<String, Tensor<1>>,
    /// Averages that are made already.
    ready: HashMap<String, Tensor<1>>,
    momentum: f64,
}

impl TensorMapper for Blend {
    fn map<const D: usize>(&mut self, name: &str, kind: TensorKind, key: Tensor<D>) -> Tensor<D> {
        if kind == TensorKind::Buffer {
            return key;
        }
        if let Some(ready) = self.ready.remove(name) {
            return ready.reshape(key.dims());
        }
        let query = self.query.remove(name);
        let query = query.unwrap_or_else(|| panic!("momentum update: the query encoder has no tensor {name}"));
        let query = query.reshape(key.dims());
        moving_average(key, query, self.momentum)
    }
}
