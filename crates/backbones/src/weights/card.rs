//! The model card: what the weights are, for a reader who has only them.

use std::fmt::Write;

use super::export::{ExportInfo, Metric};

/// Markdown with the header that model hubs read.
pub(super) fn card(info: &ExportInfo) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_card(&mut text, info);
    text
}

fn write_card(text: &mut String, info: &ExportInfo) -> std::fmt::Result {
    let ExportInfo { name, arch, channels, image_size, .. } = info;
    writeln!(text, "---\nlicense: {}\nlibrary_name: moco-cxr\ntags:\n- chest-x-ray\n- {arch}\n---\n", info.licence)?;
    writeln!(text, "# {name}\n")?;
    let what = if info.labels.is_empty() { "Backbone" } else { "Classifier" };
    writeln!(
        text,
        "{what} `{arch}` with torchvision's tensor names, {channels} input channels, images of {image_size} x {image_size} pixels."
    )?;
    writeln!(text, "Research software; not a medical device, not for diagnosis.\n")?;
    writeln!(text, "## Data\n\n{}\n\nLicence of the data: {}\n", info.data, info.data_licence)?;
    let policy = info.label_policy.as_deref().unwrap_or("no labels were used");
    writeln!(text, "Label policy: {policy}\n")?;
    if !info.labels.is_empty() {
        writeln!(text, "Scores, in order: {}\n", info.labels.join(", "))?;
    }
    writeln!(text, "## Input\n")?;
    let (mean, std) = (info.normalization.mean, info.normalization.std);
    writeln!(
        text,
        "Grey values in 0..1 (0 black), resized with the {} filter, then (x - mean) / std with",
        info.resample
    )?;
    writeln!(text, "mean {mean:?} and std {std:?}; one plane may be given for three equal channels.\n")?;
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
            writeln!(text, "| {name} | {value:.3} | {interval} |")?;
        }
        writeln!(text)?;
    }
    let head = arch.head_name();
    let classes = if info.labels.is_empty() { String::new() } else { format!("num_classes={}", info.labels.len()) };
    writeln!(text, "## Loading\n\nPyTorch:\n\n```python\nimport safetensors.torch, torch, torchvision\n")?;
    writeln!(text, "net = torchvision.models.{arch}({classes})")?;
    if info.labels.is_empty() {
        writeln!(text, "net.{head} = torch.nn.Identity()")?;
    }
    writeln!(text, "net.load_state_dict(safetensors.torch.load_file(\"model.safetensors\"), strict=True)\n```\n")?;
    writeln!(text, "Rust:\n\n```rust\nuse backbones::{{Arch, ImportOptions, NetworkConfig, WeightFile, import}};\n")?;
    writeln!(text, "let file = WeightFile::open(\"model.safetensors\")?;")?;
    writeln!(text, "let net = NetworkConfig::new(\"{arch}\".parse::<Arch>()?).init(0, &device);")?;
    writeln!(text, "let (net, report) = import(&file, net, &ImportOptions::backbone(\"{arch}\".parse()?))?;\n```")
}
