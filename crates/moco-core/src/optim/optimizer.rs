//! The optimiser: a rule, which tensors are decayed, and the state by tensor name.

use std::collections::BTreeMap;

use backbones::{NamePath, StateDict, TensorKind, tensor_names};
use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{DType, Device, Tensor, TensorData},
};
use serde::{Deserialize, Serialize};

use super::{NamedGradients, Rule, rule::Update};
use crate::{Error, Result, config::check};

/// How weights are updated. Made by [`Self::new`].
///
/// Checkpoints of earlier versions stay readable: a setting that is added has a serde default that means what this crate
/// did before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OptimizerConfig {
    /// The update rule.
    pub rule: Rule,
    /// Weight decay, coupled or not as the rule says.
    pub weight_decay: f64,
    /// Decays norm and bias (tensors of one dimension) too, as PyTorch does unless told otherwise.
    pub decay_norm_and_bias: bool,
}

impl OptimizerConfig {
    /// A rule with a weight decay on all tensors.
    pub fn new(rule: Rule, weight_decay: f64) -> Self {
        Self { rule, weight_decay, decay_norm_and_bias: true }
    }

    /// An optimiser that has not stepped yet.
    pub fn init(self) -> Optimizer {
        Optimizer { config: self, states: BTreeMap::new() }
    }

    /// # Errors
    /// The first constant out of its range.
    pub fn validate(&self) -> Result<()> {
        let unit = |key, x: f64| check((0.0..1.0).contains(&x), key, x, "a number in [0, 1)");
        check(
            self.weight_decay >= 0.0 && self.weight_decay.is_finite(),
            "optimizer.weight_decay",
            self.weight_decay,
            "0 or more",
        )?;
        match self.rule {
            Rule::Sgd { momentum, nesterov } => {
                unit("optimizer.rule.momentum", momentum)?;
                let ok = !nesterov || momentum > 0.0;
                check(ok, "optimizer.rule.nesterov", nesterov, "false without momentum")
            }
            Rule::Lars { momentum, trust } => {
                unit("optimizer.rule.momentum", momentum)?;
                check(trust > 0.0 && trust.is_finite(), "optimizer.rule.trust", trust, "above 0")
            }
            Rule::Adam { betas: (b1, b2), eps } | Rule::AdamW { betas: (b1, b2), eps } => {
                unit("optimizer.rule.betas.0", b1)?;
                unit("optimizer.rule.betas.1", b2)?;
                check(eps > 0.0 && eps.is_finite(), "optimizer.rule.eps", eps, "above 0")
            }
        }
    }
}

/// An optimiser with its state.
#[derive(Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    states: BTreeMap<String, State>,
}

/// Of one tensor.
#[derive(Debug)]
struct State {
    /// Steps made.
    step: u64,
    /// As [`Rule::slots`] names them, flat.
    slots: Vec<Tensor<1>>,
}

impl Optimizer {
    /// What it was made from.
    pub fn config(&self) -> OptimizerConfig {
        self.config
    }

    /// Updates every parameter that has a gradient; buffers never.
    pub fn step<M: Module>(&mut self, module: M, gradients: NamedGradients, lr: f64) -> M {
        module.map(&mut Apply { path: NamePath::default(), optimizer: self, gradients, lr })
    }

    fn decay(&self, dimensions: usize) -> f64 {
        let decays = dimensions > 1 || self.config.decay_norm_and_bias;
        if decays { self.config.weight_decay } else { 0.0 }
    }

    /// State on the host: `NAME/exp_avg` and so on, flat, in the tensors' precision, and `NAME/step` `[1]` i64. `rename`
    /// says what a tensor of the module is called in the file.
    ///
    /// # Errors
    /// When the device fails.
    pub fn to_record(&self, rename: impl Fn(&str) -> String) -> Result<StateDict> {
        let mut record = StateDict::new();
        for (name, state) in &self.states {
            let name = rename(name);
            record.insert(format!("{name}/step"), TensorData::new(vec![state.step as i64], [1]));
            for (slot, tensor) in self.config.rule.slots().iter().zip(&state.slots) {
                let data = tensor.clone().try_into_data();
                let failed = |e: String| Error::Device { what: "reading the optimizer state", reason: e };
                record.insert(format!("{name}/{slot}"), data.map_err(|e| failed(e.to_string()))?);
            }
        }
        Ok(record)
    }

    /// Restores what [`Self::to_record`] gave for the same module, onto `device`. Every entry must belong to a parameter
    /// and every parameter must be whole, so that no momentum quietly restarts; a record without any entry is that of an
    /// optimiser that has not stepped.
    ///
    /// # Errors
    /// Names what is missing, left over or misshapen; the state is then unchanged.
    pub fn load_record<M: Module>(
        &mut self,
        module: &M,
        record: &StateDict,
        device: &Device,
        rename: impl Fn(&str) -> String,
    ) -> Result<()> {
        let device = device.clone().inner();
        let mut rest: std::collections::BTreeSet<&String> = record.keys().collect();
        let mut states = BTreeMap::new();
        let bad = |found: String, expected: String| Error::Batch { found, expected };
        for (name, kind, shape) in tensor_names(module) {
            let file = rename(&name);
            let step_name = format!("{file}/step");
            let Some(step) = record.get(&step_name).filter(|_| kind == TensorKind::Parameter) else { continue };
            rest.remove(&step_name);
            let step = match (step.dtype(), step.try_to_vec::<i64>().as_deref()) {
                (DType::I64, Ok(&[step])) if step > 0 => step as u64,
                _ => {
                    return Err(bad(
                        format!("optimizer state {step_name} that is no count"),
                        "a number above 0".into(),
                    ));
                }
            };
            let elements: usize = shape.iter().product();
            let mut slots = Vec::new();
            for slot in self.config.rule.slots() {
                let slot_name = format!("{file}/{slot}");
                let data = record.get(&slot_name).filter(|d| d.shape().to_vec() == [elements]);
                let data = data.ok_or_else(|| {
                    let found = record.get(&slot_name).map(|d| d.shape().to_vec());
                    bad(format!("optimizer state {slot_name}: {found:?}"), format!("[{elements}]"))
                })?;
                rest.remove(&slot_name);
                slots.push(Tensor::from_data(data.clone(), &device));
            }
            states.insert(name, State { step, slots });
        }
        if let Some(name) = rest.first() {
            let (n, rule) = (rest.len(), self.config.rule);
            return Err(bad(format!("{n} left-over entries of optimizer state, such as {name}"), format!("{rule:?}")));
        }
        self.states = states;
        Ok(())
    }
}

struct Apply<'a> {
    path: NamePath,
    optimizer: &'a mut Optimizer,
    gradients: NamedGradients,
    lr: f64,
}

impl ModuleMapper for Apply<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        let Some(gradient) = self.gradients.tensors.remove(&name) else { return param };
        let decay = self.optimizer.decay(D);
        let state = self.optimizer.states.remove(&name).unwrap_or(State { step: 0, slots: Vec::new() });
        let step = state.step + 1;
        let mut slots = Vec::new();
        let updated = param.map(|old| {
            let (shape, tracked, checkpointing) =
                (old.dims(), old.is_require_grad(), old.gradient_checkpointing_strategy());
            let weight = old.inner().reshape([-1]);
            let at = Update { weight, gradient, lr: self.lr, decay, step, vector: D == 1 };
            let (weight, new_slots) = self.optimizer.config.rule.update(at, state.slots);
            slots = new_slots;
            // A leaf again: off the old tape, on a new one.
            let mut leaf = weight.reshape(shape).autodiff();
            if let Some(strategy) = checkpointing {
                leaf = leaf.with_gradient_checkpointing_strategy(strategy);
            }
            leaf.set_require_grad(tracked)
        });
        self.optimizer.states.insert(name, State { step, slots });
        updated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_of_a_rule_may_be_left_out_but_not_misspelt() {
        let read = |text: &str| serde_json::from_str::<OptimizerConfig>(text);
        let short = r#"{"rule": {"name": "adam"}, "weight_decay": 1e-4, "decay_norm_and_bias": true}"#;
        assert_eq!(read(short).expect("valid"), OptimizerConfig::new(Rule::ADAM, 1e-4));
        let error = read(&short.replace("\"adam\"", "\"adam\", \"epsilon\": 1")).expect_err("misspelt");
        assert!(error.to_string().contains("epsilon"), "{error}");
    }
}
