//! The model card, for a reader who has nothing but the weights.

use std::fmt::Write;

use super::export::{ExportInfo, Metric};
use crate::Arch;

/// Markdown with the header that model hubs read; `onnx` says that a `model.onnx` is written beside the weights.
pub(super) fn card(info: &ExportInfo, onnx: bool) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_card(&mut text, info, onnx);
    text
}

fn write_card(text: &mut String, info: &ExportInfo, onnx: bool) -> std::fmt::Result {
    let ExportInfo { name, arch, channels, image_size, .. } = info;
    writeln!(text, "---\nlicense: {}\nlibrary_name: moco-cxr\ntags:\n- chest-x-ray\n- {arch}\n---\n", info.licence)?;
    let (name, data, data_licence) = (inert(name), inert(&info.data), inert(&info.data_licence));
    writeln!(text, "# {name}\n")?;
    let what = if info.labels.is_empty() { "Backbone" } else { "Classifier" };
    writeln!(
        text,
        "{what} `{arch}` with torchvision's tensor names, {channels} input channels, images of {image_size} x {image_size} pixels."
    )?;
    writeln!(text, "Research software; not a medical device, not for diagnosis.\n")?;
    writeln!(text, "## Data\n\n{data}\n\nLicence of the data: {data_licence}\n")?;
    let policy = info.label_policy.as_deref().unwrap_or("no labels were used");
    writeln!(text, "Label policy: {}\n", inert(policy))?;
    if !info.labels.is_empty() {
        writeln!(text, "Scores, in order: {}\n", inert(&info.labels.join(", ")))?;
    }
    writeln!(text, "## Input\n")?;
    let (mean, std) = (info.normalization.mean, info.normalization.std);
    writeln!(
        text,
        "Grey values in 0..1 (0 black), resized with the {} filter, then (x - mean) / std with",
        info.resample
    )?;
    writeln!(text, "mean {mean:?} and std {std:?}; one plane may be given for three equal channels.\n")?;
    if !info.assumed.is_empty() {
        writeln!(text, "Assumed, because nothing said it: {}.\n", info.assumed.join(", "))?;
    }
    writeln!(text, "## Results\n")?;
    if info.metrics.is_empty() {
        writeln!(text, "None measured.\n")?;
    } else {
        writeln!(text, "| measure | value | interval |\n|---|---|---|")?;
        for Metric { name, value, interval } in &info.metrics {
            let interval = match interval {
                Some((low, high, level)) => format!("{low:.3} to {high:.3} ({:.0} %)", level * 100.0),
                None => "not computed".to_owned(),
            };
            writeln!(text, "| {} | {value:.3} | {interval} |", inert(name))?;
        }
        writeln!(text)?;
    }
    writeln!(text, "## Loading\n")?;
    write_pytorch(text, info)?;
    write_rust(text, info)?;
    if onnx { write_onnx(text, info) } else { Ok(()) }
}

/// Text of others (names of folders, labels, tasks) as one line without meaning to HTML or Markdown's tables: a card is shown
/// as a page.
fn inert(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' => out.push_str("&#124;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Makes [`Arch::ResNet18Narrow`] of torchvision's blocks, since torchvision's `ResNet` has one width; golden/make_backbones.py
/// runs it, too.
const NARROW: &str = include_str!("resnet18_narrow.py");

fn write_pytorch(text: &mut String, info: &ExportInfo) -> std::fmt::Result {
    let ExportInfo { arch, channels, labels, .. } = info;
    let classes = if labels.is_empty() { String::new() } else { format!("num_classes={}", labels.len()) };
    writeln!(text, "PyTorch:\n\n```python\nimport safetensors.torch, torch, torchvision\n")?;
    if *arch == Arch::ResNet18Narrow {
        writeln!(text, "\n{NARROW}\n")?;
    }
    match arch {
        Arch::ResNet18Narrow => writeln!(text, "net = resnet18_narrow({classes})")?,
        _ => writeln!(text, "net = torchvision.models.{arch}({classes})")?,
    }
    if *channels != 3 {
        let (stem, width) = (arch.stem_name(), arch.stem_width());
        writeln!(text, "net.{stem} = torch.nn.Conv2d({channels}, {width}, 7, stride=2, padding=3, bias=False)")?;
    }
    if labels.is_empty() {
        writeln!(text, "net.{} = torch.nn.Identity()  # features instead of scores", arch.head_name())?;
    }
    writeln!(text, "net.load_state_dict(safetensors.torch.load_file(\"model.safetensors\"), strict=True)")?;
    writeln!(text, "net.eval()\n```\n")
}

fn write_rust(text: &mut String, info: &ExportInfo) -> std::fmt::Result {
    let ExportInfo { arch, channels, normalization, labels, .. } = info;
    let (forward, outputs) = if labels.is_empty() { ("features", "features") } else { ("forward", "logits") };
    let method_of = if labels.is_empty() { "Backbone, " } else { "" };
    let uses = format!("Arch, {method_of}ImportOptions, Mode, NetworkConfig, Normalization, WeightFile, import");
    writeln!(text, "Rust (crate `moco-cxr-backbones`):\n\n```rust\nuse backbones::{{{uses}}};\n")?;
    writeln!(
        text,
        "let normalization = Normalization {{ mean: {:?}, std: {:?} }};",
        normalization.mean, normalization.std
    )?;
    writeln!(text, "let arch: Arch = \"{arch}\".parse()?;")?;
    writeln!(text, "let config = NetworkConfig {{ arch, channels: {channels}, normalization }};")?;
    let init = if labels.is_empty() { "init(".to_owned() } else { format!("init_classifier({}, ", labels.len()) };
    writeln!(text, "let file = WeightFile::open(\"model.safetensors\")?;")?;
    writeln!(text, "let (mut net, report) = import(&file, config.{init}0, &device), &ImportOptions::strict())?;")?;
    writeln!(text, "let {outputs} = net.{forward}(images, Mode::Eval);\n```")
}

fn write_onnx(text: &mut String, info: &ExportInfo) -> std::fmt::Result {
    let ExportInfo { channels, image_size, labels, .. } = info;
    let outputs = if labels.is_empty() { "(features,)" } else { "features, logits" };
    writeln!(text, "\nONNX Runtime:\n\n```python\nimport numpy, onnxruntime\n")?;
    writeln!(text, "session = onnxruntime.InferenceSession(\"model.onnx\", providers=[\"CPUExecutionProvider\"])")?;
    writeln!(
        text,
        "images = numpy.zeros((1, {channels}, {image_size}, {image_size}), numpy.float32)  # yours, normalised as above"
    )?;
    writeln!(text, "{outputs} = session.run(None, {{\"pixel_values\": images}})\n```")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_cannot_become_part_of_a_page() {
        let name = "a<script>alert(1)</script>|\n# b & c";
        assert_eq!(inert(name), "a&lt;script&gt;alert(1)&lt;/script&gt;&#124; # b &amp; c");
        assert_eq!(inert("Pleural Effusion, 0.5"), "Pleural Effusion, 0.5");
    }
}
