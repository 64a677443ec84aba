//! A graph of layers with torchvision's names.

use burn::tensor::TensorData;

use super::proto::{Attribute, Dimension, Message, node, tensor, value};
use crate::{Error, Result, StateDict};

/// Added to the variance, PyTorch's default.
const EPSILON: f32 = 1e-5;

/// Layers so far. Each method adds a node and returns the name of its output.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    dict: &'a StateDict,
    nodes: Vec<Message>,
    initializers: Vec<Message>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(dict: &'a StateDict) -> Self {
        Self { dict, nodes: Vec::new(), initializers: Vec::new() }
    }

    /// `GraphProto`.
    pub(super) fn finish(self, name: &str, input: (&str, &[Dimension]), outputs: &[(&str, [Dimension; 2])]) -> Message {
        let graph = self.nodes.into_iter().fold(Message::default(), |graph, node| graph.message(1, node));
        let graph = graph.text(2, name);
        let graph = self.initializers.into_iter().fold(graph, |graph, tensor| graph.message(5, tensor));
        let graph = graph.message(11, value(input.0, input.1));
        outputs.iter().fold(graph, |graph, (name, shape)| graph.message(12, value(name, shape)))
    }

    fn node(&mut self, operator: &str, inputs: &[&str], output: String, attributes: &[Attribute]) -> String {
        self.nodes.push(node(operator, inputs, &output, attributes));
        output
    }

    /// Adds a tensor of the network, and returns its name.
    fn weight(&mut self, name: String) -> Result<String> {
        let data =
            self.dict.get(&name).ok_or_else(|| Error::Names { missing: vec![name.clone()], left_over: vec![] })?;
        self.initializers.push(tensor(&name, &data.shape().to_vec(), &numbers(&name, data)?));
        Ok(name)
    }

    /// Convolution without bias.
    pub(super) fn conv(&mut self, x: &str, name: &str, kernel: usize, stride: usize) -> Result<String> {
        let weight = self.weight(format!("{name}.weight"))?;
        let attributes = window(kernel, stride, kernel / 2);
        Ok(self.node("Conv", &[x, &weight], name.to_owned(), &attributes))
    }

    /// Batch normalisation with running statistics.
    pub(super) fn norm(&mut self, x: &str, name: &str) -> Result<String> {
        let mut inputs = vec![x.to_owned()];
        for tensor in ["weight", "bias", "running_mean", "running_var"] {
            inputs.push(self.weight(format!("{name}.{tensor}"))?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        Ok(self.node("BatchNormalization", &inputs, name.to_owned(), &[Attribute::Float("epsilon", EPSILON)]))
    }

    pub(super) fn relu(&mut self, x: &str) -> String {
        self.node("Relu", &[x], format!("{x}.relu"), &[])
    }

    /// 3x3 maximum, stride 2.
    pub(super) fn max_pool(&mut self, x: &str, name: &str) -> String {
        self.node("MaxPool", &[x], name.to_owned(), &window(3, 2, 1))
    }

    /// 2x2 average, stride 2.
    pub(super) fn average_pool(&mut self, x: &str, name: &str) -> String {
        self.node("AveragePool", &[x], name.to_owned(), &window(2, 2, 0))
    }

    pub(super) fn add(&mut self, a: &str, b: &str, name: &str) -> String {
        self.node("Add", &[a, b], name.to_owned(), &[])
    }

    /// Concatenation along channels.
    pub(super) fn concat(&mut self, a: &str, b: &str, name: &str) -> String {
        self.node("Concat", &[a, b], name.to_owned(), &[Attribute::Int("axis", 1)])
    }

    /// Mean over positions, `[N, C, H, W]` to `[N, C]`.
    pub(super) fn global_average(&mut self, x: &str, name: &str) -> String {
        let pooled = self.node("GlobalAveragePool", &[x], format!("{name}.pool"), &[]);
        self.node("Flatten", &[&pooled], name.to_owned(), &[Attribute::Int("axis", 1)])
    }

    /// `x · weightᵀ + bias` of the layer `name`.
    pub(super) fn linear(&mut self, x: &str, name: &str, output: &str) -> Result<String> {
        let (weight, bias) = (self.weight(format!("{name}.weight"))?, self.weight(format!("{name}.bias"))?);
        Ok(self.node("Gemm", &[x, &weight, &bias], output.to_owned(), &[Attribute::Int("transB", 1)]))
    }
}

fn window(kernel: usize, stride: usize, padding: usize) -> [Attribute; 3] {
    [
        Attribute::Ints("kernel_shape", vec![kernel; 2]),
        Attribute::Ints("strides", vec![stride; 2]),
        Attribute::Ints("pads", vec![padding; 4]),
    ]
}

fn numbers(name: &str, data: &TensorData) -> Result<Vec<f32>> {
    let fail = |e: String| Error::Export { what: format!("tensor {name}"), reason: e };
    data.clone().convert::<f32>().try_to_vec().map_err(|e| fail(format!("{e:?}")))
}
