//! The optimiser: an update rule, its weight decay, and the state by tensor name.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use burn::{
    module::Module,
    tensor::{DType, Device, Tensor, TensorData},
};
use serde::{Deserialize, Serialize};

use super::{NamedGradients, Order, Rule, rule::Update};
use crate::{
    Error, Result, StateDict, TensorKind, TensorMapper,
    cpu_times::{self, Part},
    map_tensors, tensor_names, update_tensors,
};

/// Settings of an optimiser. Made by [`Self::new`].
///
/// Checkpoints of earlier versions stay readable: a setting that is added has a serde default that means what this crate
/// did before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OptimizerConfig {
    /// The update rule.
    pub rule: Rule,
    /// Weight decay, coupled or decoupled according to the rule.
    pub weight_decay: f64,
    /// Whether tensors of one dimension (norm and bias) are decayed too, as PyTorch does by default.
    pub decay_norm_and_bias: bool,
}

impl OptimizerConfig {
    /// A rule with the same weight decay for all tensors.
    pub fn new(rule: Rule, weight_decay: f64) -> Self {
        Self { rule, weight_decay, decay_norm_and_bias: true }
    }

    /// An optimiser that has not taken a step yet.
    pub fn init(self) -> Optimizer {
        Optimizer { config: self, states: BTreeMap::new() }
    }

    /// Checks all constants.
    ///
    /// # Errors
    /// [`Error::OptimizerSetting`] for the first constant that is out of range.
    pub fn validate(&self) -> Result<()> {
        let unit = |key, x: f64| check((0.0..1.0).contains(&x), key, x, "a number in [0, 1)");
        let decay = self.weight_decay;
        check((0.0..=1e3).contains(&decay), "weight_decay", decay, "a number from 0 to 1000")?;
        match self.rule {
            Rule::Sgd { momentum, nesterov } => {
                unit("rule.momentum", momentum)?;
                check(!nesterov || momentum > 0.0, "rule.nesterov", nesterov, "false without momentum")
            }
            Rule::Lars { momentum, trust } => {
                unit("rule.momentum", momentum)?;
                check(trust > 0.0 && trust.is_finite(), "rule.trust", trust, "above 0")
            }
            Rule::Adam { betas: (b1, b2), eps } | Rule::AdamW { betas: (b1, b2), eps } => {
                unit("rule.betas.0", b1)?;
                unit("rule.betas.1", b2)?;
                check(eps > 0.0 && eps.is_finite(), "rule.eps", eps, "above 0")
            }
        }
    }
}

fn check(ok: bool, key: &'static str, found: impl ToString, expected: &'static str) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::OptimizerSetting { key, found: found.to_string(), expected }) }
}

/// An optimiser with its state.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    states: BTreeMap<String, State>,
}

/// The state of one tensor.
#[derive(Debug)]
pub(super) struct State {
    /// Steps taken.
    pub(super) step: u64,
    /// In the order of [`Rule::slots`], flat.
    pub(super) slots: Vec<Tensor<1>>,
    /// The order of the elements of a slot.
    pub(super) order: Order,
}

impl State {
    /// Slots whose elements are in this order.
    pub(super) fn in_order(&self, order: Order) -> impl Iterator<Item = Tensor<1>> {
        self.slots.iter().map(move |slot| self.order.change(slot.clone(), order))
    }
}

impl Optimizer {
    /// The configuration it was made from.
    pub fn config(&self) -> OptimizerConfig {
        self.config
    }

    /// Updates every parameter that has a gradient; buffers never change.
    pub fn step<M: Module>(&mut self, module: M, gradients: NamedGradients, lr: f64) -> M {
        let _t = cpu_times::time(Part::Optimizer);
        let mut apply = Apply::new(self, &module, gradients, lr);
        map_tensors(module, &mut apply)
    }

    /// As [`Self::step`], on a module that stays where it is, without a copy of its weights.
    pub fn step_in_place<M: Module>(&mut self, module: &mut M, gradients: NamedGradients, lr: f64) {
        let _t = cpu_times::time(Part::Optimizer);
        let mut apply = Apply::new(self, module, gradients, lr);
        update_tensors(module, &mut apply);
    }

    /// The state of a tensor that has taken a step.
    #[cfg(feature = "cube")]
    pub(super) fn state(&self, name: &str) -> Option<&State> {
        self.states.get(name)
    }

    #[cfg(feature = "cube")]
    pub(super) fn keep(&mut self, name: &str, state: State) {
        self.states.insert(name.to_owned(), state);
    }

    pub(super) fn decay(&self, dimensions: usize) -> f64 {
        let decays = dimensions > 1 || self.config.decay_norm_and_bias;
        if decays { self.config.weight_decay } else { 0.0 }
    }

    /// The state on the host: `NAME/exp_avg` and so on, flat, in the precision of the tensors, and `NAME/step`, `[1]`
    /// i64. `rename` gives the NAME of a tensor of the module.
    ///
    /// # Errors
    /// When the device fails.
    pub fn to_record(&self, rename: impl Fn(&str) -> String) -> Result<StateDict> {
        let mut record = StateDict::new();
        for (name, state) in &self.states {
            let name = rename(name);
            record.insert(format!("{name}/step"), TensorData::new(vec![state.step as i64], [1]));
            for (slot, tensor) in self.config.rule.slots().iter().zip(state.in_order(Order::RowMajor)) {
                let what = || "reading the optimizer state".to_owned();
                let data = tensor.try_into_data();
                let data = data.map_err(|e| Error::Device { what: what(), reason: e.to_string() })?;
                record.insert(format!("{name}/{slot}"), data);
            }
        }
        Ok(record)
    }

    /// Restores onto `device` the record that [`Self::to_record`] made of the same module. Every entry must belong to a
    /// parameter, and a parameter's entries must be complete, so that no momentum silently restarts. An empty record is
    /// that of an optimiser that has not taken a step.
    ///
    /// # Errors
    /// [`Error::OptimizerState`] names the entry that is missing, left over or of another shape; the state is then
    /// unchanged.
    pub fn load_record<M: Module>(
        &mut self,
        module: &M,
        record: &StateDict,
        device: &Device,
        rename: impl Fn(&str) -> String,
    ) -> Result<()> {
        let device = device.clone().inner();
        let mut rest: BTreeSet<&String> = record.keys().collect();
        let mut states = BTreeMap::new();
        let bad = |found: String, expected: String| Error::OptimizerState { found, expected };
        for (name, kind, shape) in tensor_names(module) {
            let file = rename(&name);
            let step_name = format!("{file}/step");
            let Some(step) = record.get(&step_name).filter(|_| kind == TensorKind::Parameter) else { continue };
            rest.remove(&step_name);
            let step = match (step.dtype(), step.try_to_vec::<i64>().as_deref()) {
                (DType::I64, Ok(&[step])) if step > 0 => step as u64,
                _ => return Err(bad(format!("{step_name}: not a number of steps"), "one integer above 0".into())),
            };
            let elements: usize = shape.iter().product();
            let mut slots = Vec::new();
            for slot in self.config.rule.slots() {
                let slot_name = format!("{file}/{slot}");
                let found = record.get(&slot_name);
                let data = found.filter(|d| d.shape().to_vec() == [elements]).ok_or_else(|| {
                    let found = match found {
                        Some(data) => format!("{slot_name} of shape {:?}", data.shape().to_vec()),
                        None => format!("no {slot_name}"),
                    };
                    bad(found, format!("{slot_name} of shape [{elements}]"))
                })?;
                rest.remove(&slot_name);
                slots.push(Tensor::from_data(data.clone(), &device));
            }
            states.insert(name, State { step, slots, order: Order::RowMajor });
        }
        if let Some(name) = rest.first() {
            let (n, rule) = (rest.len(), self.config.rule);
            return Err(bad(format!("{n} entries left over, such as {name}"), format!("the state of {rule:?}")));
        }
        self.states = states;
        Ok(())
    }
}

struct Apply<'a> {
    optimizer: &'a mut Optimizer,
    gradients: NamedGradients,
    lr: f64,
    /// Weights that are new already, with the order of their elements.
    ready: HashMap<String, (Tensor<1>, Order)>,
}

impl<'a> Apply<'a> {
    #[allow(unused_mut, unused_variables)] // without GPU backends
    fn new<M: Module>(optimizer: &'a mut Optimizer, module: &M, mut gradients: NamedGradients, lr: f64) -> Self {
        #[cfg(feature = "cube")]
        let ready = super::together::update(optimizer, module, &mut gradients, lr);
        #[cfg(not(feature = "cube"))]
        let ready = HashMap::new();
        Self { optimizer, gradients, lr, ready }
    }

    /// The new weight of a tensor and the order of its elements, `None` without a gradient.
    fn weight<const D: usize>(&mut self, name: &str, old: Tensor<D>) -> Option<(Tensor<1>, Order)> {
        if let Some(ready) = self.ready.remove(name) {
            return Some(ready);
        }
        let order = Order::RowMajor;
        let gradient = self.gradients.tensors.remove(name)?.in_order(order);
        let State { step, slots, order: found } =
            self.optimizer.states.remove(name).unwrap_or(State { step: 0, slots: Vec::new(), order });
        // By value: on the CPU a slot is then written in place.
        let slots = slots.into_iter().map(|slot| found.change(slot, order)).collect();
        let step = step + 1;
        let at = Update {
            weight: old.inner().reshape([-1]),
            gradient,
            lr: self.lr,
            decay: self.optimizer.decay(D),
            step,
            vector: D == 1,
        };
        let (weight, slots) = self.optimizer.config.rule.update(at, slots);
        self.optimizer.states.insert(name.to_owned(), State { step, slots, order });
        Some((weight, order))
    }
}

impl TensorMapper for Apply<'_> {
    fn map<const D: usize>(&mut self, name: &str, _: TensorKind, old: Tensor<D>) -> Tensor<D> {
        if !self.ready.contains_key(name) && !self.gradients.tensors.contains_key(name) {
            return old;
        }
        let (shape, tracked, checkpointing) =
            (old.dims(), old.is_require_grad(), old.gradient_checkpointing_strategy());
        let Some((weight, order)) = self.weight(name, old) else { unreachable!("{name} has a gradient") };
        // A leaf again: off the old tape, on a new one.
        let mut leaf = order.restore(weight, shape).autodiff();
        if let Some(strategy) = checkpointing {
            leaf = leaf.with_gradient_checkpointing_strategy(strategy);
        }
        leaf.set_require_grad(tracked)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn constants_of_a_rule_may_be_left_out_but_not_misspelt() {
        let read = |text: &str| serde_json::from_str::<OptimizerConfig>(text);
        let short = r#"{"rule": {"name": "adam"}, "weight_decay": 1e-4, "decay_norm_and_bias": true}"#;
        assert_eq!(read(short).unwrap(), OptimizerConfig::new(Rule::ADAM, 1e-4));
        let error = read(&short.replace("\"adam\"", "\"adam\", \"epsilon\": 1")).unwrap_err();
        assert!(error.to_string().contains("epsilon"), "{error}");
    }
}
