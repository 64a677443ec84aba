//! A module's tensors on the host: reading all of them, replacing all of them.

use std::collections::BTreeMap;

use burn::{
    module::{Module, Param},
    tensor::{Tensor, TensorData},
};

use crate::{Error, Result, TensorKind, TensorMapper, TensorVisitor, map_tensors, tensor_names, visit_tensors};

/// Tensors by name, in the order of their names.
pub type StateDict = BTreeMap<String, TensorData>;

/// All tensors of a module, read to the host in their own precision.
///
/// # Errors
/// When the device fails while a tensor is read.
pub fn state_dict<M: Module>(module: &M) -> Result<StateDict> {
    struct Read(Result<StateDict>);
    impl TensorVisitor for Read {
        fn visit<const D: usize>(&mut self, name: &str, _: TensorKind, param: &Param<Tensor<D>>) {
            let Ok(dict) = &mut self.0 else { return };
            match param.val().try_into_data() {
                Ok(data) => {
                    dict.insert(name.to_owned(), data);
                }
                Err(e) => self.0 = Err(Error::Device { what: format!("reading tensor {name}"), reason: e.to_string() }),
            }
        }
    }
    let mut read = Read(Ok(StateDict::new()));
    visit_tensors(module, &mut read);
    read.0
}

/// Replaces every tensor of a module by the one of the same name; none may be missing, left over or of another shape.
///
/// Values are converted to the precision of the module; whether a tensor requires a gradient stays as it was. To load a
/// file with other names or with a head to drop, use [`import`](crate::import).
///
/// # Errors
/// Names what is missing, left over or of another shape; nothing is loaded then.
pub fn load_state_dict<M: Module>(module: M, dict: &StateDict) -> Result<M> {
    check(&tensor_names(&module), dict)?;
    struct Load<'a>(&'a StateDict);
    impl TensorMapper for Load<'_> {
        fn map<const D: usize>(&mut self, name: &str, _: TensorKind, old: Tensor<D>) -> Tensor<D> {
            let Some(data) = self.0.get(name) else { return old };
            let new = Tensor::from_data(data.clone().convert_dtype(old.dtype()), &old.device());
            if old.is_require_grad() { new.require_grad() } else { new }
        }
    }
    Ok(map_tensors(module, &mut Load(dict)))
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
