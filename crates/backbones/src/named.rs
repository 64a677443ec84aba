//! A list of modules whose names are not their indices.

use burn::{
    module::{Content, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor},
    tensor::Device,
};

/// Modules called `{prefix}1`, `{prefix}2`, ... as the layers of a dense block are in torchvision
/// (`denseblock1.denselayer3.norm1.weight`); a `Vec` would name them `0`, `1`, ...
#[derive(Debug, Clone)]
pub(crate) struct Named<M> {
    prefix: &'static str,
    modules: Vec<M>,
}

impl<M> Named<M> {
    pub(crate) fn new(prefix: &'static str, modules: Vec<M>) -> Self {
        Self { prefix, modules }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut M> {
        self.modules.iter_mut()
    }

    fn name(&self, index: usize) -> String {
        format!("{}{}", self.prefix, index + 1)
    }

    fn each(self, f: impl FnMut(M) -> M) -> Self {
        Self { prefix: self.prefix, modules: self.modules.into_iter().map(f).collect() }
    }
}

impl<M: Module> Module for Named<M> {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.modules.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        self.each(|m| m.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.each(|m| m.to_device(device))
    }

    fn train(self) -> Self {
        self.each(Module::train)
    }

    fn valid(&self) -> Self {
        Self { prefix: self.prefix, modules: self.modules.valid() }
    }

    fn materialize(self) -> Self {
        self.each(Module::materialize)
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        for (i, module) in self.modules.iter().enumerate() {
            let name = self.name(i);
            visitor.enter_module(&name, "Named");
            module.visit(visitor);
            visitor.exit_module(&name, "Named");
        }
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        let names: Vec<String> = (0..self.modules.len()).map(|i| self.name(i)).collect();
        let mut names = names.iter();
        self.each(|module| {
            let name = names.next().map(String::as_str).unwrap_or_default();
            mapper.enter_module(name, "Named");
            let module = module.map(mapper);
            mapper.exit_module(name, "Named");
            module
        })
    }
}

impl<M: ModuleDisplay> ModuleDisplayDefault for Named<M> {
    fn content(&self, content: Content) -> Option<Content> {
        let filled = self.modules.iter().enumerate().fold(content, |c, (i, m)| c.add(&self.name(i), m));
        filled.optional()
    }
}

impl<M: ModuleDisplay> ModuleDisplay for Named<M> {}
