//! One traversal of a module's float tensors, by name.
//!
//! Names are field paths joined by dots (`layer1.0.conv1.weight`), which for our networks are torchvision's. Enum
//! variants leave no trace in a name.

use std::{any::Any, collections::VecDeque};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::Tensor,
};

/// Whether a tensor is trained or only saved with the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorKind {
    /// Trained by an optimiser, averaged into a key encoder.
    Parameter,
    /// Written by the forward pass (`running_mean`, `running_var`); saved, but never optimised or averaged.
    Buffer,
}

impl TensorKind {
    /// Decided by the last part of the name, because the parameters of a frozen network are still parameters.
    pub fn of(name: &str) -> Self {
        match name.rsplit('.').next() {
            Some("running_mean" | "running_var") => Self::Buffer,
            _ => Self::Parameter,
        }
    }
}

/// Reads the float tensors of a module, see [`visit_tensors`].
pub trait TensorVisitor {
    /// Called once for each tensor. `param.val()` initialises a lazy parameter; its `lazy_shape()` does not.
    fn visit<const D: usize>(&mut self, name: &str, kind: TensorKind, param: &Param<Tensor<D>>);
}

/// Replaces the float tensors of a module, see [`map_tensors`].
pub trait TensorMapper {
    /// Called once for each tensor; returns the tensor that takes its place.
    fn map<const D: usize>(&mut self, name: &str, kind: TensorKind, tensor: Tensor<D>) -> Tensor<D>;
}

/// Visits every float tensor of a module, in the order of its fields.
pub fn visit_tensors<M: Module>(module: &M, visitor: &mut impl TensorVisitor) {
    module.visit(&mut Visit { path: NamePath::default(), visitor });
}

/// Maps every float tensor of a module, in the order of its fields.
pub fn map_tensors<M: Module>(module: M, mapper: &mut impl TensorMapper) -> M {
    module.map(&mut Map { path: NamePath::default(), mapper })
}

/// As [`map_tensors`], on a module that stays where it is.
///
/// On the CPU the mapper receives the only reference to a tensor that nothing outside the module holds, and so may write
/// in its memory; with a clone of the module every operation would need new memory. If the mapper panics, the module has
/// lost its tensors.
pub fn update_tensors<M: Module>(module: &mut M, mapper: &mut impl TensorMapper) {
    let mut taken = TakeOut(VecDeque::new());
    *module = map_tensors(module.clone(), &mut taken);
    *module = map_tensors(module.clone(), &mut PutBack { tensors: taken.0, mapper });
}

/// Takes the tensors of the CPU out of a module, in the order of its fields, and leaves empty ones; `None` for a tensor
/// that stays.
struct TakeOut(VecDeque<Option<Box<dyn Any>>>);

impl TensorMapper for TakeOut {
    fn map<const D: usize>(&mut self, _: &str, _: TensorKind, tensor: Tensor<D>) -> Tensor<D> {
        if !on_cpu(&tensor) {
            self.0.push_back(None);
            return tensor;
        }
        let left = Tensor::empty([0; D], &tensor.device());
        self.0.push_back(Some(Box::new(tensor)));
        left
    }
}

/// Puts a tensor back as what a mapper makes of it.
struct PutBack<'a, M> {
    tensors: VecDeque<Option<Box<dyn Any>>>,
    mapper: &'a mut M,
}

impl<M: TensorMapper> TensorMapper for PutBack<'_, M> {
    fn map<const D: usize>(&mut self, name: &str, kind: TensorKind, left: Tensor<D>) -> Tensor<D> {
        let taken = self.tensors.pop_front().flatten();
        let taken =
            taken.map(|tensor| *tensor.downcast::<Tensor<D>>().expect("the order of the same module's tensors"));
        self.mapper.map(name, kind, taken.unwrap_or(left))
    }
}

#[cfg(feature = "flex")]
fn on_cpu<const D: usize>(tensor: &Tensor<D>) -> bool {
    crate::cpu::tape::operand(tensor).is_some()
}

#[cfg(not(feature = "flex"))]
fn on_cpu<const D: usize>(_: &Tensor<D>) -> bool {
    false
}

/// Name, kind and shape of every float tensor of a module, in the order of its fields.
pub fn tensor_names<M: Module>(module: &M) -> Vec<(String, TensorKind, Vec<usize>)> {
    struct Names(Vec<(String, TensorKind, Vec<usize>)>);
    impl TensorVisitor for Names {
        fn visit<const D: usize>(&mut self, name: &str, kind: TensorKind, param: &Param<Tensor<D>>) {
            self.0.push((name.to_owned(), kind, param.lazy_shape().to_vec()));
        }
    }
    let mut names = Names(Vec::new());
    visit_tensors(module, &mut names);
    names.0
}

/// Fields entered so far; `None` for an enum variant.
#[derive(Default)]
struct NamePath(Vec<Option<String>>);

impl NamePath {
    fn enter(&mut self, name: &str, container: &str) {
        self.0.push((!container.starts_with("Enum:")).then(|| name.to_owned()));
    }

    fn exit(&mut self) {
        self.0.pop();
    }

    fn name(&self) -> String {
        self.0.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(".")
    }
}

struct Visit<'a, V> {
    path: NamePath,
    visitor: &'a mut V,
}

impl<V: TensorVisitor> ModuleVisitor for Visit<'_, V> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.name();
        self.visitor.visit(&name, TensorKind::of(&name), param);
    }
}

struct Map<'a, M> {
    path: NamePath,
    mapper: &'a mut M,
}

impl<M: TensorMapper> ModuleMapper for Map<'_, M> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        param.map(|tensor| self.mapper.map(&name, TensorKind::of(&name), tensor))
    }
}

#[cfg(all(test, feature = "flex"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::{backend::Flex, nn::BatchNormConfig, tensor::Device};

    use super::*;

    /// Doubles tensors; notes their names, and whether each could be written in place.
    #[derive(Default)]
    struct Double(Vec<(String, bool)>);

    impl TensorMapper for Double {
        fn map<const D: usize>(&mut self, name: &str, _: TensorKind, tensor: Tensor<D>) -> Tensor<D> {
            let tensor = tensor.inner().try_into_primitive::<Flex>().unwrap();
            self.0.push((name.to_owned(), tensor.is_unique()));
            (Tensor::from_primitive::<Flex>(tensor) * 2.0).autodiff()
        }
    }

    #[test]
    fn a_mapper_receives_the_only_reference_unless_there_is_another() {
        let mut module = BatchNormConfig::new(3).init(&Device::flex().autodiff());
        let names: Vec<String> = tensor_names(&module).into_iter().map(|(name, ..)| name).collect();
        let mut double = Double::default();
        update_tensors(&mut module, &mut double);
        assert_eq!(double.0, names.into_iter().map(|name| (name, true)).collect::<Vec<_>>());

        let kept = module.gamma.val().inner();
        let mut double = Double::default();
        update_tensors(&mut module, &mut double);
        assert!(double.0.iter().all(|(name, unique)| *unique == (name != "gamma")), "{:?}", double.0);
        for (tensor, value) in
            [(kept, 2.0), (module.gamma.val().inner(), 4.0), (module.running_var.value().inner(), 4.0)]
        {
            assert_eq!(tensor.into_data().iter::<f64>().collect::<Vec<_>>(), [value; 3]);
        }
    }
}
