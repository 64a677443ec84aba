//! Going on where a run of MoCo or MoCo-CXR in PyTorch stopped.
//!
//! Their checkpoints (`torch.save` of `epoch`, `arch`, `state_dict`, `optimizer`; `main_moco.py`) hold both encoders as
//! `module.encoder_q.*` and `module.encoder_k.*`, the queue as `[D, K]` with `queue_ptr`, and the optimiser's state by the
//! number of the parameter.

use std::collections::{BTreeMap, BTreeSet};

use backbones::{Backbone, Scalar, StateDict, TensorInfo, TensorKind, WeightFile, tensor_names};
use burn::tensor::TensorData;

use super::state::{load, query_name};
use crate::{Error, Result, Trainer, encoder::file_name};

/// What was taken from a checkpoint of MoCo.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MocoImport {
    /// Epochs that the run had done, as the file says.
    pub epoch: Option<i64>,
    /// Keys of the queue.
    pub keys: usize,
    /// Parameters whose optimiser state was taken; 0 when the file has none and the optimiser starts afresh.
    pub optimizer_states: usize,
    /// Learning rate of the file's optimiser; the schedule of this run decides, not this.
    pub lr: Option<f64>,
}

/// Name of the counters that PyTorch's batch normalisation keeps and ours does not.
const COUNTER: &str = "num_batches_tracked";

impl<B: Backbone> Trainer<B> {
    /// Takes both encoders with their projection heads and running statistics, the queue, and the optimiser's state from a
    /// checkpoint of MoCo, MoCo v2 or MoCo-CXR. The run still begins at its own first step, with its own schedule; keys of
    /// the queue have no known patient and no known age.
    ///
    /// # Errors
    /// A file that is no such checkpoint; a tensor that is missing, left over or of another shape (another architecture,
    /// `dim`, `queue_size` or `mlp`); the state of another optimiser. The trainer is then unchanged.
    pub fn begin_from_moco(&mut self, file: &WeightFile) -> Result<MocoImport> {
        let source = Reference::find(file)?;
        let mut weights = StateDict::new();
        for side in ["encoder_q", "encoder_k"] {
            weights.extend(source.encoder(side, &self.moco.encoder_q)?);
        }
        let encoder_q = load(&self.moco.encoder_q, "encoder_q", &weights)?;
        let encoder_k = load(&self.moco.encoder_k, "encoder_k", &weights)?;
        let (states, record) = source.optimizer(self.config.optimizer.rule.slots())?;
        let mut optimizer = self.config.optimizer.init();
        optimizer.load_record(&encoder_q, &record, &self.moco.device(), query_name)?;
        let queue = source.queue(self.moco.config().queue_size, self.moco.config().dim)?;
        self.moco.queue.load_record(&queue)?; // checks before it changes anything; the last that can fail
        self.moco.encoder_q = encoder_q;
        self.moco.encoder_k = encoder_k;
        self.optimizer = optimizer;
        let lr = match file.scalar("optimizer.param_groups.0.lr") {
            Some(Scalar::Float(lr)) => Some(*lr),
            _ => None,
        };
        let epoch = match file.scalar("epoch") {
            Some(Scalar::Int(epoch)) => Some(*epoch),
            _ => None,
        };
        Ok(MocoImport { epoch, keys: self.moco.queue.size(), optimizer_states: states, lr })
    }
}

/// A checkpoint of MoCo: its file, and what stands before `encoder_q.` there.
struct Reference<'a> {
    file: &'a WeightFile,
    prefix: &'a str,
}

impl<'a> Reference<'a> {
    fn find(file: &'a WeightFile) -> Result<Self> {
        let prefix = |info: &'a TensorInfo| info.name.find("encoder_q.").map(|at| &info.name[..at]);
        let prefix = file.tensors().iter().find_map(prefix);
        let fault = || {
            bad(
                format!("{}, {}", file.path().display(), file.inspect().looks_like),
                "a checkpoint of MoCo, with encoder_q, encoder_k and queue".into(),
            )
        };
        Ok(Self { file, prefix: prefix.ok_or_else(fault)? })
    }

    fn fault(&self, found: String, expected: String) -> Error {
        bad(format!("{}, {found}", self.file.path().display()), expected)
    }

    /// Tensors of one encoder by the names they have inside it, in the order of the file, without counters.
    fn tensors(&self, side: &str) -> impl Iterator<Item = (String, &'a TensorInfo)> {
        let start = format!("{}{side}.", self.prefix);
        let inner = move |info: &'a TensorInfo| Some((own_name(info.name.strip_prefix(&start)?), info));
        self.file.tensors().iter().filter_map(inner).filter(|(name, _)| !name.ends_with(COUNTER))
    }

    /// One encoder by the names of our checkpoints, `encoder_q.conv1.weight`; every tensor of it, and no other.
    fn encoder<B: Backbone>(&self, side: &str, like: &crate::Encoder<B>) -> Result<StateDict> {
        let found: BTreeMap<String, &TensorInfo> = self.tensors(side).collect();
        let expected = tensor_names(like).into_iter().map(|(name, _, shape)| (file_name(&name).to_owned(), shape));
        let expected: BTreeMap<String, Vec<usize>> = expected.collect();
        let list = |what: &str, names: Vec<&String>| {
            let shown: Vec<&str> = names.iter().take(3).map(|n| n.as_str()).collect();
            format!("{} {what} ({}{})", names.len(), shown.join(", "), if names.len() > 3 { ", ..." } else { "" })
        };
        let missing: Vec<_> = expected.keys().filter(|name| !found.contains_key(*name)).collect();
        let left_over: Vec<_> = found.keys().filter(|name| !expected.contains_key(*name)).collect();
        if !missing.is_empty() || !left_over.is_empty() {
            let found = format!("{side}: {}, {}", list("missing", missing), list("left over", left_over));
            return Err(self.fault(found, "the tensors of the network and its projection head".into()));
        }
        for (name, shape) in &expected {
            if found[name].shape != *shape {
                let found = format!("{side}.{name} of shape {:?}", found[name].shape);
                return Err(self.fault(found, format!("{shape:?}")));
            }
        }
        Ok(found.into_iter().map(|(name, info)| (format!("{side}.{name}"), self.file.tensor(info))).collect())
    }

    /// The queue as [`Queue::to_record`](crate::Queue::to_record) gives it: rows are keys, here columns.
    fn queue(&self, size: usize, dim: usize) -> Result<StateDict> {
        let tensor = |name: &str, shape: &[usize]| {
            let full = format!("{}{name}", self.prefix);
            let info = self.file.tensors().iter().find(|t| t.name == full);
            let found = info.map_or("nothing".to_owned(), |t| format!("{:?}", t.shape));
            info.filter(|t| t.shape == shape)
                .map(|info| self.file.tensor(info))
                .ok_or_else(|| self.fault(format!("{name}: {found}"), format!("{shape:?}, as dim and queue_size say")))
        };
        let unreadable = |e: String| self.fault(e, "numbers".into());
        let columns = tensor("queue", &[dim, size])?.convert::<f64>();
        let columns = columns.try_to_vec::<f64>().map_err(|e| unreadable(format!("queue: {e:?}")))?;
        let rows: Vec<f64> = (0..size * dim).map(|at| columns[at % dim * size + at / dim]).collect();
        let pointer = tensor("queue_ptr", &[1])?.convert::<i64>();
        let pointer = pointer.try_to_vec::<i64>().map_err(|e| unreadable(format!("queue_ptr: {e:?}")))?;
        // The file does not say whose the keys are, nor when they were made.
        let unknown = || TensorData::new(vec![-1_i64; size], [size]);
        Ok(StateDict::from([
            ("queue".to_owned(), TensorData::new(rows, [size, dim])),
            ("queue_ptr".to_owned(), TensorData::new(pointer, [1])),
            ("filled".to_owned(), TensorData::new(vec![size as i64], [1])),
            ("patients".to_owned(), unknown()),
            ("written_at".to_owned(), unknown()),
        ]))
    }

    /// The optimiser's state as [`Optimizer::to_record`](crate::Optimizer::to_record) gives it, and of how many parameters.
    ///
    /// PyTorch numbers the parameters as the model lists them: those of the query encoder first, in the order in which its
    /// state dictionary has them. Since 1.5 the state's keys are these numbers; before, they were addresses, which
    /// `param_groups` lists in that order.
    fn optimizer(&self, slots: &[&str]) -> Result<(usize, StateDict)> {
        let mut record = StateDict::new();
        let tensors = self.file.tensors();
        if !tensors.iter().any(|t| t.name.starts_with("optimizer.state.")) {
            return Ok((0, record));
        }
        let kept = |name: &str| TensorKind::of(name) == TensorKind::Parameter;
        let parameters: Vec<String> = self.tensors("encoder_q").map(|(name, _)| name).filter(|n| kept(n)).collect();
        let mut used: BTreeSet<&str> = BTreeSet::new();
        for (number, name) in parameters.iter().enumerate() {
            let key = match self.file.scalar(&format!("optimizer.param_groups.0.params.{number}")) {
                Some(Scalar::Int(key)) => *key,
                _ => number as i64,
            };
            let state = |slot: &str| format!("optimizer.state.{key}.{slot}");
            for slot in slots {
                let info = tensors.iter().find(|t| t.name == state(slot));
                let info = info.ok_or_else(|| {
                    let found = format!("no {} (the state of {name})", state(slot));
                    self.fault(found, format!("the state of an optimiser with {}", slots.join(" and ")))
                })?;
                used.insert(&info.name);
                record.insert(format!("encoder_q.{name}/{slot}"), flat(&self.file.tensor(info)));
            }
            // A number in files of older PyTorch, a tensor now; momentum alone does not count steps.
            let step = match self.file.scalar(&state("step")) {
                Some(Scalar::Int(step)) => *step,
                _ => match tensors.iter().find(|t| t.name == state("step")) {
                    Some(info) => {
                        used.insert(&info.name);
                        let step = self.file.tensor(info).convert::<f64>().try_to_vec::<f64>().unwrap_or_default();
                        step.first().map_or(0, |&step| step as i64)
                    }
                    None => 1,
                },
            };
            record.insert(format!("encoder_q.{name}/step"), TensorData::new(vec![step], [1]));
        }
        let rest = tensors.iter().find(|t| t.name.starts_with("optimizer.state.") && !used.contains(t.name.as_str()));
        if let Some(rest) = rest {
            let expected = format!("{} for {} parameters", slots.join(" and "), parameters.len());
            return Err(self.fault(format!("{} left over", rest.name), expected));
        }
        Ok((parameters.len(), record))
    }
}

/// The same numbers with one dimension, in their own precision.
fn flat(data: &TensorData) -> TensorData {
    match data.as_slice::<f32>() {
        Ok(values) => TensorData::new(values.to_vec(), [values.len()]),
        Err(_) => {
            let values = data.clone().convert::<f64>().try_to_vec::<f64>().unwrap_or_default();
            let shape = [values.len()];
            TensorData::new(values, shape)
        }
    }
}

/// The projection head is the network's own last layer there: `fc` of ResNet, `classifier` of DenseNet.
fn own_name(name: &str) -> String {
    match name.strip_prefix("classifier.") {
        Some(rest) => format!("fc.{rest}"),
        None => name.to_owned(),
    }
}

fn bad(found: String, expected: String) -> Error {
    Error::Reference { found, expected }
}
