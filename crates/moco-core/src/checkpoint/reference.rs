//! Import of a PyTorch checkpoint of MoCo or MoCo-CXR, to continue its training.
//!
//! Their checkpoints (`torch.save` of `epoch`, `arch`, `state_dict`, `optimizer`; `main_moco.py`) hold both encoders as
//! `module.encoder_q.*` and `module.encoder_k.*`, the queue as `[D, K]` with `queue_ptr`, and the optimiser's state by
//! parameter number.

use std::collections::{BTreeMap, BTreeSet};

use backbones::{Backbone, Scalar, StateDict, TensorInfo, TensorKind, WeightFile, tensor_names};
use burn::tensor::TensorData;

use super::state::{load, query_name};
use crate::{Error, Result, Trainer, encoder::file_name};

/// Summary of an imported checkpoint of MoCo.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MocoImport {
    /// Epochs done, according to the file.
    pub epoch: Option<i64>,
    /// Number of keys in the queue.
    pub keys: usize,
    /// Number of parameters whose optimiser state was taken; 0 if the file has none and the optimiser starts anew.
    pub optimizer_states: usize,
    /// Learning rate of the file's optimiser, for information; this run follows its own schedule.
    pub lr: Option<f64>,
}

/// Name of the counters of PyTorch's batch normalisation, which ours does not have.
const COUNTER: &str = "num_batches_tracked";

impl<B: Backbone> Trainer<B> {
    /// Takes both encoders with their projection heads and running statistics, the queue, and the optimiser's state
    /// from a checkpoint of MoCo, MoCo v2 or MoCo-CXR. The run still starts at step 0 with its own schedule; patient
    /// and age of the keys in the queue are unknown.
    ///
    /// # Errors
    /// A file that is not such a checkpoint; a tensor that is missing, left over or of another shape (another
    /// architecture, `dim`, `queue_size` or `mlp`); the state of another optimiser. The trainer is then unchanged.
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

/// A checkpoint of MoCo: its file, and the prefix of `encoder_q.` in it.
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

    /// Tensors of one encoder by their names within it, in the order of the file, without counters.
    fn tensors(&self, side: &str) -> impl Iterator<Item = (String, &'a TensorInfo)> {
        let start = format!("{}{side}.", self.prefix);
        let inner = move |info: &'a TensorInfo| Some((own_name(info.name.strip_prefix(&start)?), info));
        self.file.tensors().iter().filter_map(inner).filter(|(name, _)| !name.ends_with(COUNTER))
    }

    /// All tensors of one encoder by the names of our checkpoints, such as `encoder_q.conv1.weight`.
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

    /// The queue in the form of [`Queue::to_record`](crate::Queue::to_record), where keys are rows; in the file they
    /// are columns.
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
        // The file holds neither patients nor ages of the keys.
        let unknown = || TensorData::new(vec![-1_i64; size], [size]);
        Ok(StateDict::from([
            ("queue".to_owned(), TensorData::new(rows, [size, dim])),
            ("queue_ptr".to_owned(), TensorData::new(pointer, [1])),
            ("filled".to_owned(), TensorData::new(vec![size as i64], [1])),
            ("patients".to_owned(), unknown()),
            ("written_at".to_owned(), unknown()),
        ]))
    }

    /// The optimiser's state in the form of [`Optimizer::to_record`](crate::Optimizer::to_record), and its number of
    /// parameters.
    ///
    /// PyTorch numbers the parameters as the model lists them: those of the query encoder first, in the order of its
    /// state dictionary. Since 1.5 the keys of the state are these numbers; before, they were addresses, which
    /// `param_groups` lists in the same order.
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

/// The same numbers with one dimension; f32 stays f32, all else becomes f64.
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

/// In the file the projection head is the network's own last layer: `fc` of ResNet, `classifier` of DenseNet.
fn own_name(name: &str) -> String {
    match name.strip_prefix("classifier.") {
        Some(rest) => format!("fc.{rest}"),
        None => name.to_owned(),
    }
}

fn bad(found: String, expected: String) -> Error {
    Error::Reference { found, expected }
}
