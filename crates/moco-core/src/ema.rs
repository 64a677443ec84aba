//! The key encoder: a moving average of the query encoder (MoCo, arXiv:1911.05722, equation 2).
//!
//! `encoder_k` is on the *inner* device, which has no tape, so that no gradient can reach it. Its batch norm still uses
//! batch statistics, because our norm layer is given its mode (Burn's own would silently use running statistics there).

use std::collections::BTreeMap;

use backbones::{
    TensorKind, TensorMapper, TensorVisitor,
    cpu_times::{self, Part},
    optim::{Order, moving_average, moving_averages},
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
    let mut ready = BTreeMap::new();
    if let Some(together) = averages(key, &parameters.found, momentum) {
        ready = together;
    }
    update_tensors(key, &mut Blend { query: parameters.found, ready, momentum });
}

/// Elements of a tensor, flat, and their order.
type Flat = (Tensor<1>, Order);

/// The new key parameters by name, in the order of the query's, where a device makes them together.
fn averages<M: Module>(key: &M, query: &BTreeMap<String, Flat>, momentum: f64) -> Option<BTreeMap<String, Tensor<1>>> {
    let mut keys = Parameters { like: Some(query), found: BTreeMap::new() };
    visit_tensors(key, &mut keys);
    let (names, keys): (Vec<_>, Vec<_>) = keys.found.into_iter().map(|(name, (key, _))| (name, key)).unzip();
    let queries: Option<Vec<_>> = names.iter().map(|name| query.get(name).map(|(query, _)| query.clone())).collect();
    let new = moving_averages(&keys, &queries?, momentum)?;
    Some(names.into_iter().zip(new).collect())
}

/// Parameters by name, flat, off the tape: in the order in which they lie, or in that of others.
#[derive(Default)]
struct Parameters<'a> {
    like: Option<&'a BTreeMap<String, Flat>>,
    found: BTreeMap<String, Flat>,
}

impl TensorVisitor for Parameters<'_> {
    fn visit<const D: usize>(&mut self, name: &str, kind: TensorKind, param: &Param<Tensor<D>>) {
        if kind == TensorKind::Parameter {
            let tensor = param.val().inner();
            let like = self.like.and_then(|like| like.get(name));
            let order = like.map_or_else(|| Order::of(&tensor), |(_, order)| *order);
            self.found.insert(name.to_owned(), (order.flatten(tensor), order));
        }
    }
}

struct Blend {
    query: BTreeMap<String, Flat>,
    /// Averages that are made already.
    ready: BTreeMap<String, Tensor<1>>,
    momentum: f64,
}

impl TensorMapper for Blend {
    fn map<const D: usize>(&mut self, name: &str, kind: TensorKind, key: Tensor<D>) -> Tensor<D> {
        if kind == TensorKind::Buffer {
            return key;
        }
        let query = self.query.remove(name);
        let (query, order) = query.unwrap_or_else(|| panic!("momentum update: the query encoder has no tensor {name}"));
        match self.ready.remove(name) {
            Some(ready) => order.restore(ready, key.dims()),
            None => {
                let query = order.restore(query, key.dims());
                moving_average(key, query, self.momentum)
            }
        }
    }
}
