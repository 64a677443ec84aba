//! The update rules on GPUs: all tensors that are due the same update in a few launches.

use std::collections::{BTreeMap, HashMap};

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};
use burn_cubecl::tensor::CubeTensor;

use super::{NamedGradients, Optimizer, Rule, optimizer::State};
use crate::{
    TensorKind, TensorVisitor,
    gpu::{
        flat,
        update::{Adam, Sgd, adam, sgd},
    },
    visit_tensors,
};

/// The new weights, flat, by name, of the parameters whose update a kernel has made; their gradients are taken and their
/// states are new. Empty on other devices and for LARS, whose rate is each layer's own.
pub(super) fn update<M: Module>(
    optimizer: &mut Optimizer,
    module: &M,
    gradients: &mut NamedGradients,
    lr: f64,
) -> HashMap<String, Tensor<1>> {
    let rule = optimizer.config().rule;
    if matches!(rule, Rule::Lars { .. }) {
        return HashMap::new();
    }
    let mut collect = Collect { optimizer, gradients, due: BTreeMap::new() };
    visit_tensors(module, &mut collect);
    let due = collect.due;
    let mut weights = HashMap::new();
    for ((step, decay), tensors) in due {
        let decay = f64::from_bits(decay);
        let names: Vec<String> = tensors.iter().map(|tensor| tensor.name.clone()).collect();
        for (name, [weight, slots @ ..]) in names.into_iter().zip(apply(rule, lr, decay, step, tensors)) {
            let kept = rule.slots().len();
            let slots = slots.into_iter().take(kept).flatten().map(flat::wrap).collect();
            optimizer.keep(&name, State { step, slots });
            weights.extend(weight.map(|weight| (name, flat::wrap(weight))));
        }
    }
    weights
}

/// A parameter with its gradient.
struct Due {
    name: String,
    weight: CubeTensor,
    gradient: CubeTensor,
    /// Empty before the first step.
    slots: Vec<CubeTensor>,
}

impl Due {
    /// A slot, or any tensor, which is not read, before the first step.
    fn slot(&self, i: usize) -> CubeTensor {
        self.slots.get(i).unwrap_or(&self.gradient).clone()
    }
}

/// Weight, and up to two slots, of each tensor.
fn apply(rule: Rule, lr: f64, decay: f64, step: u64, due: Vec<Due>) -> Vec<[Option<CubeTensor>; 3]> {
    let adam_like = |betas, eps, decoupled| {
        let tensors = due.iter().map(|d| [d.weight.clone(), d.gradient.clone(), d.slot(0), d.slot(1)]);
        adam(Adam { betas, eps, lr, decay, decoupled, step }, tensors.collect())
    };
    match rule {
        Rule::Sgd { momentum, nesterov } => {
            let tensors = due.iter().map(|d| [d.weight.clone(), d.gradient.clone(), d.slot(0)]);
            let first = step == 1 || momentum == 0.0;
            let results = sgd(Sgd { momentum, nesterov, lr, decay, first }, tensors.collect());
            results.into_iter().map(|[weight, buffer]| [Some(weight), Some(buffer), None]).collect()
        }
        Rule::Adam { betas, eps } => adam_like(betas, eps, false).into_iter().map(|all| all.map(Some)).collect(),
        Rule::AdamW { betas, eps } => adam_like(betas, eps, true).into_iter().map(|all| all.map(Some)).collect(),
        Rule::Lars { .. } => Vec::new(),
    }
}

/// Gathers what is on a GPU, by number of steps and (the bits of) the decay.
struct Collect<'a> {
    optimizer: &'a mut Optimizer,
    gradients: &'a mut NamedGradients,
    due: BTreeMap<(u64, u64), Vec<Due>>,
}

impl TensorVisitor for Collect<'_> {
    fn visit<const D: usize>(&mut self, name: &str, _: TensorKind, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.tensors.get(name).and_then(flat::take) else { return };
        let Some(weight) = flat::take(&param.val().inner().reshape([-1])) else { return };
        let (step, slots) = self.optimizer.state(name);
        let Some(slots) = slots.iter().map(flat::take).collect::<Option<Vec<_>>>() else { return };
        self.gradients.tensors.remove(name);
        let decay = self.optimizer.decay(D).to_bits();
        self.due.entry((step + 1, decay)).or_default().push(Due { name: name.to_owned(), weight, gradient, slots });
    }
}
