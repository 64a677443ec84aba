//! A backbone and a linear layer on its features: torchvision's complete networks, and the model that fine-tuning
//! trains.

use burn::{
    module::{Content, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor},
    tensor::{Device, Tensor},
};

use crate::{Backbone, Initializer, Linear, Mode, Network, NetworkConfig};

/// A backbone followed by a linear layer.
///
/// Tensor names are torchvision's: those of the backbone as they are, and those of the layer under its name there (`fc`
/// for ResNet, `classifier` for DenseNet).
#[derive(Debug, Clone)]
pub struct Classifier<B> {
    /// Images to features.
    pub backbone: B,
    /// Features to scores, weight `[classes, feature_dim]`.
    pub head: Linear,
    head_name: &'static str,
}

impl<B: Backbone> Classifier<B> {
    /// Adds `head` after `backbone`; its tensors are called `{head_name}.weight` and `{head_name}.bias`.
    ///
    /// # Panics
    /// When the inputs of the head are not as many as the features of the backbone.
    pub fn new(backbone: B, head: Linear, head_name: &'static str) -> Self {
        let [_, input] = head.weight.lazy_shape().dims();
        let features = backbone.feature_dim();
        assert!(input == features, "classifier: a layer of {input} inputs behind {features} features");
        Self { backbone, head, head_name }
    }

    /// Scores (logits).
    ///
    /// # Shapes
    /// - images `[B, 1 or 3, H, W]`, see [`Backbone::features`]
    /// - returns `[B, classes]`
    pub fn forward(&mut self, images: Tensor<4>, mode: Mode) -> Tensor<2> {
        self.head.forward(self.backbone.features(images, mode))
    }
}

impl NetworkConfig {
    /// The network with a linear layer to `classes` scores after it, drawn on the host from `seed` with torchvision's
    /// initial distributions.
    pub fn init_classifier(&self, classes: usize, seed: u64, device: &Device) -> Classifier<Network> {
        let backbone = self.init(seed, device);
        // Another stream than the backbone's, which starts from `seed` itself.
        let mut init = Initializer::new(seed ^ 0x6865_6164, device); // "head"
        let head = init.linear(backbone.feature_dim(), classes);
        let head =
            if self.arch.head_bias_is_zero() { Linear::new(head.weight.val(), head.bias.val() * 0.0) } else { head };
        Classifier::new(backbone, head, self.arch.head_name())
    }
}

impl<B: Module> Classifier<B> {
    fn each(self, backbone: impl FnOnce(B) -> B, head: impl FnOnce(Linear) -> Linear) -> Self {
        Self { backbone: backbone(self.backbone), head: head(self.head), head_name: self.head_name }
    }
}

// By hand, because a derived implementation would put the backbone's tensors under `backbone.`.
impl<B: Module> Module for Classifier<B> {
    fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        self.head.collect_devices(self.backbone.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        self.each(|b| b.fork(device), |h| h.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.each(|b| b.to_device(device), |h| h.to_device(device))
    }

    fn train(self) -> Self {
        self.each(Module::train, Module::train)
    }

    fn valid(&self) -> Self {
        Self { backbone: self.backbone.valid(), head: self.head.valid(), head_name: self.head_name }
    }

    fn materialize(self) -> Self {
        self.each(Module::materialize, Module::materialize)
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.backbone.visit(visitor);
        visitor.enter_module(self.head_name, "Struct:Classifier");
        self.head.visit(visitor);
        visitor.exit_module(self.head_name, "Struct:Classifier");
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let backbone = self.backbone.map(mapper);
        mapper.enter_module(self.head_name, "Struct:Classifier");
        let head = self.head.map(mapper);
        mapper.exit_module(self.head_name, "Struct:Classifier");
        Self { backbone, head, head_name: self.head_name }
    }
}

impl<B: ModuleDisplay> ModuleDisplayDefault for Classifier<B> {
    fn content(&self, content: Content) -> Option<Content> {
        content.add("backbone", &self.backbone).add(self.head_name, &self.head).optional()
    }
}

impl<B: ModuleDisplay> ModuleDisplay for Classifier<B> {}
