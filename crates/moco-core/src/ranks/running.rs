//! Running statistics of batch normalisation over several ranks, as one process with as many groups has them.
//!
//! A group updates a running value as `r <- (1 - m) r + m s`, one group after the other in the order of the batch. What the `L`
//! groups of a rank make of `r` is therefore `(1 - m)^L r + B`, where `B` does not depend on `r`: what all ranks make of it is a sum
//! of the ranks' `B`, each weighted by the groups that follow.

use backbones::{BatchNorm, TensorKind, TensorMapper, TensorVisitor, update_tensors, visit_tensors};
use burn::{
    module::{Module, Param},
    tensor::{Tensor, TensorData},
};

use super::Exchanged;
use crate::{Error, Result};

/// Running values of a step: before it, and after each of its passes.
#[derive(Debug)]
pub(crate) struct RunningBefore {
    /// `[V]` each, on the device; the first is that before the step.
    states: Vec<Tensor<1>>,
}

impl RunningBefore {
    /// Those of a module; `None` without norm layers.
    pub(crate) fn of<M: Module>(module: &M) -> Option<Self> {
        Some(Self { states: vec![values(module)?] })
    }

    /// Notes them after a pass.
    pub(crate) fn passed<M: Module>(&mut self, module: &M) {
        self.states.extend(values(module));
    }

    /// Gives a module what the passes of all ranks, with `groups` groups each, make of the values before.
    ///
    /// # Errors
    /// When the device fails, or [`Error::Ranks`].
    pub(crate) fn blend<M: Module>(self, module: &mut M, exchanged: &mut Exchanged<'_>, groups: usize) -> Result<()> {
        let ranks = exchanged.ranks;
        let passes = self.states.len() - 1;
        let data = Tensor::cat(self.states, 0).try_into_data().map_err(|e| e.to_string());
        let states: Vec<f64> = data
            .and_then(|data| data.convert::<f64>().try_to_vec().map_err(|e| e.to_string()))
            .map_err(|reason| Error::Device { what: "reading running statistics", reason })?;
        let n = states.len() / (passes + 1);
        let kept = (1.0 - BatchNorm::MOMENTUM).powi(groups as i32);
        let weight = kept.powi((ranks.size() - 1 - ranks.rank()) as i32); // by the groups that come after it
        let mut added: Vec<f64> = (0..passes * n).map(|i| weight * (states[n + i] - kept * states[i])).collect();
        exchanged.sum(&mut added, "running statistics")?;
        let all_kept = kept.powi(ranks.size() as i32);
        let mut running = states[..n].to_vec();
        for added in added.chunks_exact(n) {
            running.iter_mut().zip(added).for_each(|(value, added)| *value = all_kept * *value + added);
        }
        update_tensors(module, &mut Put { rest: &running });
        Ok(())
    }
}

/// The running values of a module one after the other.
fn values<M: Module>(module: &M) -> Option<Tensor<1>> {
    struct Read(Vec<Tensor<1>>);
    impl TensorVisitor for Read {
        fn visit<const D: usize>(&mut self, _: &str, kind: TensorKind, param: &Param<Tensor<D>>) {
            if kind == TensorKind::Buffer {
                self.0.push(param.val().inner().reshape([-1]));
            }
        }
    }
    let mut read = Read(Vec::new());
    visit_tensors(module, &mut read);
    (!read.0.is_empty()).then(|| Tensor::cat(read.0, 0))
}

/// Puts values in the place of the running values, in the order in which they were read.
struct Put<'a> {
    rest: &'a [f64],
}

impl TensorMapper for Put<'_> {
    fn map<const D: usize>(&mut self, _: &str, kind: TensorKind, old: Tensor<D>) -> Tensor<D> {
        if kind != TensorKind::Buffer {
            return old;
        }
        let shape = old.dims();
        let (own, rest) = self.rest.split_at(shape.iter().product());
        self.rest = rest;
        Tensor::from_data(TensorData::new(own.to_vec(), shape).convert_dtype(old.dtype()), &old.device())
    }
}
