//! The key encoder: a slow average of the query encoder (MoCo, arXiv:1911.05722, equation 2).
//!
//! `encoder_k` lives on the *inner* device, where no tape exists: a gradient cannot reach it. Its batch norm still uses
//! batch statistics, because our norm layer is told its mode and does not look at the device (Burn's own would silently
//! use running statistics there).

use std::collections::HashMap;

use backbones::{NamePath, TensorKind};
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::Tensor,
};

/// A separate copy on the inner device. Not `clone()`: Burn's own norm layers share running statistics between clones.
pub(crate) fn momentum_copy<M: Module>(query: &M) -> M {
    query.valid()
}

/// `k = m·k + (1 − m)·q` for every *parameter*. Running statistics are buffers and are left alone: each encoder keeps
/// its own, as in the reference (`parameters()` excludes buffers; facebookresearch/moco#70).
///
/// # Panics
/// When the two modules have different tensors.
pub(crate) fn ema_update<M: Module>(key: M, query: &M, momentum: f64) -> M {
    let mut collected = Collect::default();
    query.visit(&mut collected);
    key.map(&mut Blend { path: NamePath::default(), query: collected.tensors, momentum })
}

#[derive(Default)]
struct Collect {
    path: NamePath,
    tensors: HashMap<String, Box<dyn std::any::Any>>,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.name();
        if TensorKind::of(&name) == TensorKind::Parameter {
            self.tensors.insert(name, Box::new(param.val().inner()));
        }
    }
}

struct Blend {
    path: NamePath,
    query: HashMap<String, Box<dyn std::any::Any>>,
    momentum: f64,
}

impl ModuleMapper for Blend {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        if TensorKind::of(&name) == TensorKind::Buffer {
            return param;
        }
        let query = self.query.remove(&name).and_then(|t| t.downcast::<Tensor<D>>().ok());
        let query = query.unwrap_or_else(|| panic!("momentum update: the query encoder has no tensor {name}"));
        param.map(|key| key * self.momentum + *query * (1.0 - self.momentum))
    }
}
