//! The few messages of ONNX that a network needs, in protobuf's wire format.
//!
//! Field numbers are those of `onnx/onnx.proto` (ONNX 1.12, IR version 8). A message is a sequence of fields, each a
//! key (`number << 3 | wire type`) and a value: a varint, four bytes, or a length and that many bytes.

/// A message that is being written.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A number. (No negative one is ever written.)
    #[must_use]
    pub(super) fn int(mut self, field: u64, value: usize) -> Self {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    #[must_use]
    pub(super) fn ints(self, field: u64, values: &[usize]) -> Self {
        values.iter().fold(self, |message, &value| message.int(field, value))
    }

    #[must_use]
    pub(super) fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    #[must_use]
    pub(super) fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    #[must_use]
    pub(super) fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    #[must_use]
    pub(super) fn message(self, field: u64, message: Message) -> Self {
        self.bytes(field, &message.0)
    }
}

/// `TensorProto.DataType.FLOAT`.
const FLOAT: usize = 1;

/// A dimension: a number, or the name of a free one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Dimension {
    Fixed(usize),
    Free(&'static str),
}

/// `AttributeProto` with one number, several, or a float.
pub(super) enum Attribute {
    Int(&'static str, usize),
    Ints(&'static str, Vec<usize>),
    Float(&'static str, f32),
}

impl Attribute {
    fn message(&self) -> Message {
        const TYPE: u64 = 20;
        match self {
            Self::Float(name, value) => Message::default().text(1, name).float(2, *value).int(TYPE, 1),
            Self::Int(name, value) => Message::default().text(1, name).int(3, *value).int(TYPE, 2),
            Self::Ints(name, values) => Message::default().text(1, name).ints(8, values).int(TYPE, 7),
        }
    }
}

/// `NodeProto`; a node has the name of its output.
pub(super) fn node(operator: &str, inputs: &[&str], output: &str, attributes: &[Attribute]) -> Message {
    let message = inputs.iter().fold(Message::default(), |message, input| message.text(1, input));
    let message = message.text(2, output).text(3, output).text(4, operator);
    attributes.iter().fold(message, |message, attribute| message.message(5, attribute.message()))
}

/// `TensorProto` of f32.
pub(super) fn tensor(name: &str, shape: &[usize], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Message::default().ints(1, shape).int(2, FLOAT).text(8, name).bytes(9, &raw)
}

/// `ValueInfoProto` of a tensor of f32.
pub(super) fn value(name: &str, shape: &[Dimension]) -> Message {
    let dimension = |dimension: &Dimension| match dimension {
        Dimension::Fixed(size) => Message::default().int(1, *size),
        Dimension::Free(name) => Message::default().text(2, name),
    };
    let shape = shape.iter().fold(Message::default(), |message, d| message.message(1, dimension(d)));
    let tensor = Message::default().int(1, FLOAT).message(2, shape);
    Message::default().text(1, name).message(2, Message::default().message(1, tensor))
}

/// `StringStringEntryProto`.
pub(super) fn entry(key: &str, text: &str) -> Message {
    Message::default().text(1, key).text(2, text)
}

/// `ModelProto` around a `GraphProto`, of ONNX's own operators as in `opset`.
pub(super) fn model(graph: Message, opset: usize, metadata: &[(&str, String)]) -> Vec<u8> {
    const IR_VERSION: usize = 8;
    let operators = Message::default().text(1, "").int(2, opset);
    let model = Message::default()
        .int(1, IR_VERSION)
        .text(2, "moco-cxr")
        .text(3, env!("CARGO_PKG_VERSION"))
        .message(7, graph)
        .message(8, operators);
    metadata.iter().fold(model, |model, (key, text)| model.message(14, entry(key, text))).into_bytes()
}
