//! Names that other tools give the tensors of the same networks.

use std::collections::BTreeSet;

/// Keys and fields that wrap a network: checkpoint dictionaries, `DataParallel`, the query encoder of MoCo, lightly.
const WRAPPERS: [&str; 12] = [
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "net",
    "network",
    "encoder_q",
    "encoder",
    "base_encoder",
    "backbone",
    "resnet",
    "densenet",
];

/// The same for the averaged copy of a network, which is used only if there is no other.
const COPIES: [&str; 4] = ["encoder_k", "momentum_encoder", "key_encoder", "backbone_momentum"];

/// A name with ever more of its wrappers removed: `module.encoder_q.fc.0.weight`, `encoder_q.fc.0.weight` and
/// `fc.0.weight`.
pub(super) fn unwrapped(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| {
        let (first, rest) = name.split_once('.')?;
        (WRAPPERS.contains(&first) || COPIES.contains(&first)).then_some(rest)
    })
}

/// The prefix (`state_dict.module.encoder_q.`, or nothing) under which most of the `expected` names are found.
pub(super) fn prefix<'a>(names: impl Iterator<Item = &'a str> + Clone, expected: &BTreeSet<&str>) -> &'a str {
    let candidates: BTreeSet<&str> =
        names.clone().flat_map(|name| unwrapped(name).map(|inner| &name[..name.len() - inner.len()])).collect();
    let found = |prefix: &str| {
        let inner = names.clone().filter_map(|name| name.strip_prefix(prefix));
        inner.filter(|name| expected_name(name, expected).is_some()).count()
    };
    let copy = |prefix: &str| prefix.split('.').any(|part| COPIES.contains(&part));
    // The query encoder before the key encoder, then the shorter wrapping.
    let rank = |prefix: &&str| (found(prefix), !copy(prefix), std::cmp::Reverse(prefix.len()));
    candidates.into_iter().max_by_key(rank).unwrap_or("")
}

/// The one of the `expected` names that `name` stands for: itself, or from an old DenseNet name or an index in an
/// `nn.Sequential`.
pub(super) fn expected_name(name: &str, expected: &BTreeSet<&str>) -> Option<String> {
    let known = |name: &String| expected.contains(name.as_str());
    Some(name.to_owned())
        .filter(known)
        .or_else(|| old_densenet(name).filter(known))
        .or_else(|| in_sequential(name).into_iter().flatten().find(known))
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

/// lightly wraps `nn.Sequential(*list(network.children())[:-1])`, in which the parts are numbered: for ResNet `0` is the
/// first convolution and `4` to `7` are the stages, for DenseNet `0` is `features`.
fn in_sequential(name: &str) -> Option<[String; 2]> {
    let (number, rest) = name.split_once('.')?;
    let resnet = match number {
        "0" => "conv1",
        "1" => "bn1",
        "4" => "layer1",
        "5" => "layer2",
        "6" => "layer3",
        "7" => "layer4",
        _ => return None,
    };
    Some([format!("{resnet}.{rest}"), if number == "0" { format!("features.{rest}") } else { String::new() }])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["conv1.weight", "layer1.0.conv1.weight", "features.denseblock1.denselayer2.norm1.weight"];

    fn expected() -> BTreeSet<&'static str> {
        NAMES.into_iter().collect()
    }

    #[test]
    fn old_and_numbered_names_are_known() {
        let named = |name| expected_name(name, &expected());
        assert_eq!(named("features.denseblock1.denselayer2.norm.1.weight").as_deref(), Some(NAMES[2]));
        assert_eq!(named("0.weight").as_deref(), Some("conv1.weight"));
        assert_eq!(named("4.0.conv1.weight").as_deref(), Some("layer1.0.conv1.weight"));
        assert_eq!(named("0.denseblock1.denselayer2.norm1.weight").as_deref(), Some(NAMES[2]));
        assert_eq!(named("layer9.weight"), None);
    }

    #[test]
    fn the_query_encoder_is_preferred_to_its_copy() {
        let names = ["module.encoder_k.conv1.weight", "module.encoder_q.conv1.weight", "module.queue"];
        assert_eq!(prefix(names.into_iter(), &expected()), "module.encoder_q.");
        assert_eq!(prefix(names[..1].iter().copied(), &expected()), "module.encoder_k.");
        assert_eq!(prefix(["conv1.weight"].into_iter(), &expected()), "");
        assert_eq!(prefix(["layer1.0.conv1.weight"].into_iter(), &expected()), "");
    }
}
