//! Names that other tools give the tensors of the same networks. What stands before them is the matter of `places`.

/// The names that `name` may stand for: itself, or the torchvision name of an old DenseNet file, of a numbered
/// `nn.Sequential`, of a DenseNet's `features` alone, or of a ResNet of transformers.
pub(super) fn spellings(name: &str) -> impl Iterator<Item = String> {
    let name = old_densenet(name).unwrap_or_else(|| name.to_owned());
    let others = [in_sequential(&name), Some(format!("features.{name}")), in_transformers(&name)];
    std::iter::once(name).chain(others.into_iter().flatten())
}

/// torchvision's first DenseNet files: `denselayer3.norm.1.weight` is `denselayer3.norm1.weight` now.
fn old_densenet(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let at = parts
        .windows(3)
        .position(|w| w[0].starts_with("denselayer") && matches!(w[1], "norm" | "conv") && matches!(w[2], "1" | "2"))?;
    let joined = format!("{}{}", parts[at + 1], parts[at + 2]);
    Some([&parts[..=at], &[joined.as_str()], &parts[at + 3..]].concat().join("."))
}

/// lightly and fastai wrap `nn.Sequential(*list(network.children())[:-1])`, in which the parts are numbered: for ResNet `0`
/// is the first convolution and `4` to `7` are the stages, for DenseNet `0` is `features`.
fn in_sequential(name: &str) -> Option<String> {
    let (number, rest) = name.split_once('.')?;
    let part = match number {
        "0" if rest.contains('.') => "features",
        "0" => "conv1",
        "1" => "bn1",
        "4" => "layer1",
        "5" => "layer2",
        "6" => "layer3",
        "7" => "layer4",
        _ => return None,
    };
    Some(format!("{part}.{rest}"))
}

/// transformers' ResNet: `encoder.stages.0.layers.1.layer.2.convolution.weight` is `layer1.1.conv3.weight`.
fn in_transformers(name: &str) -> Option<String> {
    let (name, tensor) = name.rsplit_once('.')?;
    let (name, kind) = name.rsplit_once('.')?;
    let (layer, in_shortcut) = match kind {
        "convolution" => ("conv", 0),
        "normalization" => ("bn", 1),
        _ => return None,
    };
    if name == "embedder.embedder" {
        return Some(format!("{layer}1.{tensor}"));
    }
    let (stage, rest) = name.strip_prefix("encoder.stages.")?.split_once(".layers.")?;
    let stage = stage.parse::<u8>().ok()?.checked_add(1)?;
    let (block, place) = rest.split_once('.')?;
    match place.split_once('.') {
        None if place == "shortcut" => Some(format!("layer{stage}.{block}.downsample.{in_shortcut}.{tensor}")),
        Some(("layer", number)) => {
            Some(format!("layer{stage}.{block}.{layer}{}.{tensor}", number.parse::<u8>().ok()?.checked_add(1)?))
        }
        _ => None,
    }
}

/// Whether a part of a dotted prefix says that the network was trained by gradients, where there is an average of it as
/// well: MoCo's and lightly's query network, DINO's student, BYOL's online network.
pub(super) fn is_trained(prefix: &str) -> bool {
    words(prefix).any(|word| matches!(word.as_str(), "q" | "query" | "student" | "online"))
}

/// Whether a part of a dotted prefix says that the network is an average of another: MoCo's key encoder, DINO's teacher,
/// BYOL's target network, timm's `state_dict_ema`, `swa_model`.
pub(super) fn is_average(prefix: &str) -> bool {
    const AVERAGES: [&str; 11] =
        ["k", "key", "momentum", "teacher", "target", "ema", "avg", "average", "averaged", "swa", "shadow"];
    words(prefix).any(|word| AVERAGES.contains(&word.as_str()))
}

/// `model.queryEncoder_2` has the words `model`, `query`, `encoder` and `2`.
fn words(prefix: &str) -> impl Iterator<Item = String> {
    let mut spaced = String::new();
    let mut lower = false;
    for c in prefix.chars() {
        if lower && c.is_uppercase() {
            spaced.push(' ');
        }
        lower = c.is_lowercase();
        spaced.extend(c.to_lowercase());
    }
    let words: Vec<String> =
        spaced.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    words.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_names_are_known() {
        let cases = [
            ("features.denseblock1.denselayer2.norm.1.weight", "features.denseblock1.denselayer2.norm1.weight"),
            ("0.weight", "conv1.weight"),
            ("4.0.conv1.weight", "layer1.0.conv1.weight"),
            ("0.denseblock1.denselayer2.norm1.weight", "features.denseblock1.denselayer2.norm1.weight"),
            ("0.denseblock1.denselayer2.norm.1.weight", "features.denseblock1.denselayer2.norm1.weight"),
            ("norm5.bias", "features.norm5.bias"),
            ("embedder.embedder.convolution.weight", "conv1.weight"),
            ("embedder.embedder.normalization.running_var", "bn1.running_var"),
            ("encoder.stages.0.layers.1.layer.2.convolution.weight", "layer1.1.conv3.weight"),
            ("encoder.stages.3.layers.0.shortcut.convolution.weight", "layer4.0.downsample.0.weight"),
            ("encoder.stages.3.layers.0.shortcut.normalization.bias", "layer4.0.downsample.1.bias"),
        ];
        for (name, expected) in cases {
            assert!(spellings(name).any(|spelling| spelling == expected), "{name}");
            assert!(spellings(expected).any(|spelling| spelling == expected), "{expected}");
        }
        assert!(!spellings("encoder.stages.255.layers.0.shortcut.convolution.weight").any(|s| s.starts_with("layer")));
    }

    #[test]
    fn a_prefix_says_whether_a_network_was_trained_or_averaged() {
        let trained = [
            "module.encoder_q.",
            "student.module.backbone.",
            "online_encoder.net.",
            "state_dict.query_backbone.",
            "queryNet.",
        ];
        let averages = [
            "module.encoder_k.",
            "teacher.",
            "state_dict_ema.",
            "backbone_momentum.",
            "target_network_state_dict.",
            "emaModel.",
        ];
        assert!(trained.iter().all(|prefix| is_trained(prefix) && !is_average(prefix)));
        assert!(averages.iter().all(|prefix| is_average(prefix) && !is_trained(prefix)));
        assert!(["", "module.", "backbone.", "keyboard.", "student2"].iter().all(|p| !is_average(p) && !is_trained(p)));
    }
}
