//! A network as an ONNX model, for ONNX Runtime and other readers.
//!
//! Written here and not with a crate, because these networks need only ten operators and five messages. ONNX IR version
//! 8, operator set 17.
//!
//! The input `pixel_values` is `[batch, channels, height, width]`, f32, already normalised: `(x - mean) / std` of grey
//! values in 0..1, repeated for three channels, as in `preprocessor_config.json` and as for timm's and torchvision's
//! models. Batch, height and width are free (at least 32 px). The output `features` is `[batch, D]`; a classifier has a
//! second one, `logits` `[batch, classes]`. Nodes and tensors have torchvision's names.

mod graph;
mod networks;
mod proto;

use self::{graph::Graph, proto::Dimension};
use super::layout::layout;
use crate::{Error, ExportInfo, Result, StateDict};

const OPSET: usize = 17;
const INPUT: &str = "pixel_values";
const FEATURES: &str = "features";
const LOGITS: &str = "logits";

/// The tensors of a network, with or without its classifier, as an ONNX model. `info` gives architecture and channels;
/// its name, labels, size, mean and deviation go into the model's metadata.
///
/// # Errors
/// When tensors of the architecture are missing, left over or of another shape.
pub fn onnx_bytes(dict: &StateDict, info: &ExportInfo) -> Result<Vec<u8>> {
    let head = info.arch.head_name();
    let classes = dict.get(&format!("{head}.weight")).map(|weight| weight.shape().to_vec()[0]);
    check(dict, info, classes)?;
    let mut graph = Graph::new(dict);
    networks::backbone(&mut graph, info.arch, INPUT, FEATURES)?;
    let batch = Dimension::Free("batch");
    let mut outputs = vec![(FEATURES, [batch, Dimension::Fixed(info.arch.feature_dim())])];
    if let Some(classes) = classes {
        graph.linear(FEATURES, head, LOGITS)?;
        outputs.push((LOGITS, [batch, Dimension::Fixed(classes)]));
    }
    let input = [batch, Dimension::Fixed(info.channels), Dimension::Free("height"), Dimension::Free("width")];
    let graph = graph.finish(info.arch.name(), (INPUT, &input), &outputs);
    let list = |values: &[f64]| values[..info.channels.min(3)].iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
    let metadata = [
        ("name", info.name.clone()),
        ("labels", info.labels.join(", ")),
        ("image_size", info.image_size.to_string()),
        ("image_mean", list(&info.normalization.mean)),
        ("image_std", list(&info.normalization.std)),
    ];
    Ok(proto::model(graph, OPSET, &metadata))
}

fn check(dict: &StateDict, info: &ExportInfo, classes: Option<usize>) -> Result<()> {
    let expected = layout(info.arch, info.channels, classes);
    let missing: Vec<String> = expected.iter().map(|(n, _)| n).filter(|n| !dict.contains_key(*n)).cloned().collect();
    let known = |name: &str| expected.iter().any(|(n, _)| n == name);
    let left_over: Vec<String> = dict.keys().filter(|name| !known(name)).cloned().collect();
    if !missing.is_empty() || !left_over.is_empty() {
        return Err(Error::Names { missing, left_over });
    }
    for (name, shape) in expected {
        let found = dict[&name].shape().to_vec();
        if found != shape {
            return Err(Error::Shape { name, found, expected: shape });
        }
    }
    Ok(())
}
