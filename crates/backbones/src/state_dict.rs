//! A module's tensors by name, on the host.
//!
//! Names are field paths joined by dots (`layer1.0.conv1.weight`), which for our networks are torchvision's. Enum
//! variants leave no trace in a name.

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Tensor, TensorData},
};

use crate::{Error, Result};

/// Tensors by name, in the order of their names.
pub type StateDict = BTreeMap<String, TensorData>;

/// Whether a tensor is trained or only kept along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorKind {
    /// Trained by an optimiser, averaged into a key encoder.
    Parameter,
    /// Written by the forward pass (`running_mean`, `running_var`); saved, but never optimised or averaged.
    Buffer,
}

impl TensorKind {
    /// Decided by the last part of the name, because the parameters of a frozen network are parameters still.
    pub fn of(name: &str) -> Self {
        match name.rsplit('.').next() {
            Some("running_mean" | "running_var") => Self::Buffer,
            _ => Self::Parameter,
        }
    }
}

/// Field path while a module is walked; forward the `enter_module`/`exit_module` calls of a visitor or mapper to it.
#[derive(Debug, Default)]
pub struct NamePath(Vec<Option<String>>);

impl NamePath {
    /// Steps into a field, list entry or variant.
    pub fn enter(&mut self, name: &str, container: &str) {
        self.0.push((!container.starts_with("Enum:")).then(|| name.to_owned()));
    }

    /// Steps out again.
    pub fn exit(&mut self) {
        self.0.pop();
    }

    /// The name of where we are.
    pub fn name(&self) -> String {
        self.0.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(".")
    }
}

/// Name, kind and shape of every float tensor of a module, in the order of its fields.
pub fn tensor_names<M: Module>(module: &M) -> Vec<(String, TensorKind, Vec<usize>)> {
    struct Names(NamePath, Vec<(String, TensorKind, Vec<usize>)>);
    impl ModuleVisitor for Names {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.0.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let name = self.0.name();
            self.1.push((name.clone(), TensorKind::of(&name), param.lazy_shape().to_vec()));
        }
    }
    let mut names = Names(NamePath::default(), Vec::new());
    module.visit(&mut names);
    names.1
}

/// All tensors of a module, read to the host in their own precision.
///
/// # Errors
/// When the device fails while a tensor is read.
pub fn state_dict<M: Module>(module: &M) -> Result<StateDict> {
    struct Read(NamePath, Result<StateDict>);
    impl ModuleVisitor for Read {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.0.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Ok(dict) = &mut self.1 else { return };
            let name = self.0.name();
            match param.val().try_into_data() {
                Ok(data) => {
                    dict.insert(name, data);
                }
                Err(e) => self.1 = Err(Error::Device { what: format!("reading tensor {name}"), reason: e.to_string() }),
            }
        }
    }
    let mut read = Read(NamePath::default(), Ok(StateDict::new()));
    module.visit(&mut read);
    read.1
}

/// Replaces every tensor of a module by the one of its name; nothing may be missing, left over or of another shape.
///
/// Values take the precision of the module; whether a tensor is trained stays as it was. Reading foreign files, with
/// names to map and heads to drop, is the business of the weight-file functions, which end here.
///
/// # Errors
/// Names what is missing, left over or misshapen; the module is not consumed half-loaded.
pub fn load_state_dict<M: Module>(module: M, dict: &StateDict) -> Result<M> {
    check(&tensor_names(&module), dict)?;
    struct Load<'a>(NamePath, &'a StateDict);
    impl ModuleMapper for Load<'_> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.0.enter(name, container);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let Some(data) = self.1.get(&self.0.name()) else { return param };
            param.map(|old| {
                let data = data.clone().convert_dtype(old.dtype());
                let new = Tensor::from_data(data, &old.device());
                if old.is_require_grad() { new.require_grad() } else { new }
            })
        }
    }
    Ok(module.map(&mut Load(NamePath::default(), dict)))
}

fn check(expected: &[(String, TensorKind, Vec<usize>)], dict: &StateDict) -> Result<()> {
    let missing: Vec<_> = expected.iter().map(|(n, ..)| n).filter(|n| !dict.contains_key(*n)).cloned().collect();
    let known: std::collections::BTreeSet<_> = expected.iter().map(|(n, ..)| n).collect();
    let left_over: Vec<_> = dict.keys().filter(|n| !known.contains(n)).cloned().collect();
    if !missing.is_empty() || !left_over.is_empty() {
        return Err(Error::Names { missing, left_over });
    }
    for (name, _, shape) in expected {
        let found = dict[name].shape().to_vec();
        if found != *shape {
            return Err(Error::Shape { name: name.clone(), found, expected: shape.clone() });
        }
    }
    Ok(())
}
