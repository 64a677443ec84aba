//! The ONNX models, read back with a reader of protobuf's wire format. That ONNX Runtime computes the same features with
//! them shows `golden/check_interop.py`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use backbones::{Arch, Error, ExportInfo, NetworkConfig, StateDict, export_with_onnx, layout, onnx_bytes};
use burn::tensor::{Device, TensorData};

/// A field's value: a number, or bytes (a text, a message, packed numbers).
#[derive(Debug, Clone, PartialEq)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

/// Fields by number, in order.
type Message = BTreeMap<u64, Vec<Field>>;

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (&byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn parse(mut bytes: &[u8]) -> Message {
    let mut message = Message::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)),
            wire @ (2 | 5) => {
                let length = if wire == 5 { 4 } else { varint(&mut bytes) as usize };
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(value.to_vec())
            }
            wire => panic!("wire type {wire}"),
        };
        message.entry(key >> 3).or_default().push(field);
    }
    message
}

fn texts(message: &Message, field: u64) -> Vec<String> {
    bytes(message, field).into_iter().map(|b| String::from_utf8(b).unwrap()).collect()
}

fn bytes(message: &Message, field: u64) -> Vec<Vec<u8>> {
    let fields = message.get(&field).into_iter().flatten();
    fields.map(|f| if let Field::Bytes(b) = f { b.clone() } else { panic!("{f:?}") }).collect()
}

fn messages(message: &Message, field: u64) -> Vec<Message> {
    bytes(message, field).iter().map(|b| parse(b)).collect()
}

fn numbers(message: &Message, field: u64) -> Vec<u64> {
    let fields = message.get(&field).into_iter().flatten();
    fields.map(|f| if let Field::Number(n) = f { *n } else { panic!("{f:?}") }).collect()
}

/// Name and dimensions of an input or output; a free dimension by its name.
fn value(message: &Message) -> (String, Vec<String>) {
    let tensor = &messages(&messages(message, 2)[0], 1)[0];
    assert_eq!(numbers(tensor, 1), [1], "f32");
    let dimension = |d: &Message| texts(d, 2).pop().unwrap_or_else(|| numbers(d, 1)[0].to_string());
    (texts(message, 1).remove(0), messages(&messages(tensor, 2)[0], 1).iter().map(dimension).collect())
}

/// Every tensor of the architecture; its numbers count up from its place in the list.
fn tensors(arch: Arch, channels: usize, classes: Option<usize>) -> StateDict {
    let tensor = |(i, (name, shape)): (usize, (String, Vec<usize>))| {
        let numbers = (0..shape.iter().product()).map(|j: usize| (i + j) as f32).collect::<Vec<_>>();
        (name, TensorData::new(numbers, shape))
    };
    layout(arch, channels, classes).into_iter().enumerate().map(tensor).collect()
}

fn info(arch: Arch, channels: usize) -> ExportInfo {
    ExportInfo {
        name: "A test".to_owned(),
        arch,
        channels,
        normalization: NetworkConfig::new(arch).normalization,
        image_size: 224,
        assumed: Vec::new(),
        resample: "bilinear".to_owned(),
        labels: vec!["Edema".to_owned(), "Cardiomegaly".to_owned()],
        data: "None.".to_owned(),
        data_licence: "none".to_owned(),
        label_policy: None,
        licence: "mit".to_owned(),
        steps: 0,
        metrics: Vec::new(),
    }
}

#[test]
fn a_model_holds_every_tensor_under_its_name_and_connects_all_nodes() {
    for arch in Arch::ALL {
        for (channels, classes) in [(3, None), (1, Some(2))] {
            let dict = tensors(arch, channels, classes);
            let model = parse(&onnx_bytes(&dict, &info(arch, channels)).unwrap());
            assert_eq!(numbers(&model, 1), [8], "IR version");
            let operators = &messages(&model, 8)[0];
            assert_eq!((texts(operators, 1), numbers(operators, 2)), (vec![String::new()], vec![17]));
            let graph = &messages(&model, 7)[0];

            let initializers = messages(graph, 5);
            assert_eq!(initializers.len(), dict.len());
            for tensor in &initializers {
                let name = &texts(tensor, 8)[0];
                let expected = &dict[name];
                let shape: Vec<usize> = numbers(tensor, 1).into_iter().map(|n| n as usize).collect();
                assert_eq!(shape, expected.shape().to_vec(), "{name}");
                assert_eq!(numbers(tensor, 2), [1], "f32");
                let raw = bytes(tensor, 9).remove(0);
                let found: Vec<f32> = raw.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
                assert_eq!(found, expected.as_slice::<f32>().unwrap(), "{name}");
            }

            // Nodes in an order in which every input exists, each output made once, and each tensor used.
            let (input, outputs) = (value(&messages(graph, 11)[0]), messages(graph, 12));
            let free = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
            let channels = channels.to_string();
            assert_eq!(input, ("pixel_values".to_owned(), free(&["batch", &channels, "height", "width"])));
            let mut known: BTreeSet<String> = dict.keys().cloned().chain([input.0]).collect();
            let mut unused = known.clone();
            let mut operators: BTreeMap<String, usize> = BTreeMap::new();
            for node in messages(graph, 1) {
                let output = texts(&node, 2).remove(0);
                for name in texts(&node, 1) {
                    assert!(known.contains(&name), "{output} before {name}");
                    unused.remove(&name);
                }
                assert_eq!(texts(&node, 3), std::slice::from_ref(&output), "a node has the name of its output");
                assert!(known.insert(output.clone()), "{output} twice");
                unused.insert(output);
                *operators.entry(texts(&node, 4).remove(0)).or_default() += 1;
            }
            let mut expected = vec![("features".to_owned(), free(&["batch", &arch.feature_dim().to_string()]))];
            if let Some(classes) = classes {
                expected.push(("logits".to_owned(), free(&["batch", &classes.to_string()])));
                unused.remove("features");
                assert_eq!(operators["Gemm"], 1);
            }
            assert_eq!(outputs.iter().map(value).collect::<Vec<_>>(), expected);
            assert_eq!(unused.into_iter().collect::<Vec<_>>(), [expected.last().unwrap().0.clone()]);

            let four_dimensional = dict.values().filter(|d| d.shape().to_vec().len() == 4).count();
            assert_eq!(operators["Conv"], four_dimensional);
            let running = dict.keys().filter(|name| name.ends_with("running_mean")).count();
            assert_eq!(operators["BatchNormalization"], running);
        }
    }
}

#[test]
fn other_tensors_than_those_of_the_architecture_are_refused() {
    let mut dict = tensors(Arch::ResNet18, 3, None);
    let fault = onnx_bytes(&dict, &info(Arch::ResNet34, 3)).unwrap_err();
    let Error::Names { missing, left_over } = fault else { panic!("{fault}") };
    // Sixteen convolutions, each with a normalisation of four tensors, are what 34 layers have more than 18.
    assert_eq!((missing.len(), left_over.len()), (16 * 5, 0));
    let fault = onnx_bytes(&dict, &info(Arch::ResNet18, 1)).unwrap_err().to_string();
    assert!(fault.contains("conv1.weight: found shape [64, 3, 7, 7], expected [64, 1, 7, 7]"), "{fault}");
    dict.insert("fc.3.weight".to_owned(), TensorData::new(vec![0.0_f32], [1]));
    let fault = onnx_bytes(&dict, &info(Arch::ResNet18, 3)).unwrap_err().to_string();
    assert!(fault.contains("1 left over [\"fc.3.weight\"]"), "{fault}");
}

#[test]
fn an_export_may_have_a_model_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("export");
    let net = NetworkConfig::new(Arch::ResNet18).init(0, &Device::flex());
    let files = export_with_onnx(&out, &net, &info(Arch::ResNet18, 3)).unwrap();
    assert_eq!(files.len(), 5);
    let model = parse(&std::fs::read(out.join("model.onnx")).unwrap());
    let metadata: Vec<_> =
        messages(&model, 14).iter().map(|m| (texts(m, 1).remove(0), texts(m, 2).remove(0))).collect();
    assert!(metadata.contains(&("labels".to_owned(), "Edema, Cardiomegaly".to_owned())), "{metadata:?}");
    assert!(metadata.contains(&("image_mean".to_owned(), "0.502 0.502 0.502".to_owned())), "{metadata:?}");
}
