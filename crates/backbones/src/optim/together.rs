//! The update rules on GPUs: all tensors that are due the same update in a few launches.

use std::collections::{BTreeMap, HashMap};

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};
use burn_cubecl::tensor::CubeTensor;

use super::{NamedGradients, Optimizer, Order, Rule, optimizer::State};
use crate::{
    TensorKind, TensorVisitor,
    gpu::{
        flat,
        packed::Packed,
        update::{Adam, Sgd, adam, sgd},
    },
    visit_tensors,
};

/// The new weights, flat, with the order of their elements, by name, of the parameters whose update a kernel has made; their gradients are taken and their
/// states are new. Empty on other devices and for LARS, whose rate is each layer's own.
pub(super) fn update<M: Module>(
    optimizer: &mut Optimizer,
    module: &M,
    gradients: &mut NamedGradients,
    lr: f64,
) -> HashMap<String, (Tensor<1>, Order)> {
    let rule = optimizer.config().rule;
    if matches!(rule, Rule::Lars { .. }) {
        return HashMap::new();
    }
    let mut collect = Collect { optimizer, gradients, due: BTreeMap::new() };
    visit_tensors(module, &mut collect);
    let due = collect.due;
    let mut weights = HashMap::new();
    for ((step, decay), mut tensors) in due {
        // Then those that a launch takes follow each other in the buffers.
        tensors.sort_by_key(|tensor| flat::odd(&tensor.weight));
        let [weight, slots @ ..] = apply(rule, lr, f64::from_bits(decay), step, &tensors);
        for (i, tensor) in tensors.into_iter().enumerate() {
            let slots = slots.iter().flatten().map(|slot| flat::wrap(slot.tensor(i))).collect();
            optimizer.keep(&tensor.name, State { step, slots, order: tensor.order });
            weights.extend(weight.iter().map(|weight| {
                let elements = flat::wrap(weight.tensor(i));
                (tensor.name.clone(), (elements, tensor.order))
            }));
        }
    }
    weights
}

/// A parameter with its gradient, in whose order all of it is.
struct Due {
    name: String,
    order: Order,
    weight: CubeTensor,
    gradient: CubeTensor,
    /// Empty before the first step.
    slots: Vec<CubeTensor>,
}

/// Weights, and up to two slots, of all tensors.
fn apply(rule: Rule, lr: f64, decay: f64, step: u64, due: &[Due]) -> [Option<Packed>; 3] {
    let packed = |of: &dyn Fn(&Due) -> Option<CubeTensor>| {
        let tensors: Option<Vec<CubeTensor>> = due.iter().map(of).collect();
        Packed::of(&tensors?)
    };
    let Some(weights) = packed(&|due| Some(due.weight.clone())) else { return [None, None, None] };
    let gradients: Vec<CubeTensor> = due.iter().map(|due| due.gradient.clone()).collect();
    let slots = [0, 1].map(|slot| packed(&|due| due.slots.get(slot).cloned()));
    let adam_like = |betas, eps, decoupled| {
        let slots = match &slots {
            [Some(mean), Some(square)] => Some([mean, square]),
            _ => None,
        };
        adam(Adam { betas, eps, lr, decay, decoupled, step }, &weights, &gradients, slots).map(Some)
    };
    match rule {
        Rule::Sgd { momentum, nesterov } => {
            let first = step == 1 || momentum == 0.0;
            let [weights, buffers] =
                sgd(Sgd { momentum, nesterov, lr, decay, first }, &weights, &gradients, slots[0].as_ref());
            [Some(weights), (momentum != 0.0).then_some(buffers), None]
        }
        Rule::Adam { betas, eps } => adam_like(betas, eps, false),
        Rule::AdamW { betas, eps } => adam_like(betas, eps, true),
        Rule::Lars { .. } => [None, None, None],
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
        let Some(found) = self.gradients.tensors.get(name) else { return };
        let order = found.order;
        let Some(gradient) = flat::take(&found.elements) else { return };
        let Some(weight) = flat::take(&order.flatten(param.val().inner())) else { return };
        let state = self.optimizer.state(name);
        let (step, slots) = match state {
            Some(state) => (state.step, state.in_order(order).map(|slot| flat::take(&slot)).collect()),
            None => (0, Some(Vec::new())),
        };
        let Some(slots) = slots else { return };
        self.gradients.tensors.remove(name);
        let decay = self.optimizer.decay(D).to_bits();
        let due = Due { name: name.to_owned(), order, weight, gradient, slots };
        self.due.entry((step + 1, decay)).or_default().push(due);
    }
}
