//! The networks as graphs, built from the names of their tensors.

use super::graph::Graph;
use crate::{Arch, Result};

/// Adds the backbone of `arch`; `x` is its input. Returns the name of the features.
pub(super) fn backbone(graph: &mut Graph<'_>, arch: Arch, x: &str, features: &str) -> Result<String> {
    match arch {
        Arch::ResNet18 | Arch::ResNet18Narrow => resnet(graph, x, features, [2, 2, 2, 2], false),
        Arch::ResNet34 => resnet(graph, x, features, [3, 4, 6, 3], false),
        Arch::ResNet50 => resnet(graph, x, features, [3, 4, 6, 3], true),
        Arch::DenseNet121 => densenet(graph, x, features, [6, 12, 24, 16]),
    }
}

fn resnet(g: &mut Graph<'_>, x: &str, features: &str, blocks: [usize; 4], bottleneck: bool) -> Result<String> {
    let x = g.conv(x, "conv1", 7, 2)?;
    let x = g.norm(&x, "bn1")?;
    let x = g.relu(&x);
    let mut x = g.max_pool(&x, "maxpool");
    for (stage, blocks) in blocks.into_iter().enumerate() {
        for block in 0..blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            // The basic block of the first stage keeps its shape; all other first blocks change it.
            let changes = block == 0 && (stage > 0 || bottleneck);
            x = residual(g, &x, &format!("layer{}.{block}", stage + 1), stride, bottleneck, changes)?;
        }
    }
    Ok(g.global_average(&x, features))
}

fn residual(g: &mut Graph<'_>, x: &str, name: &str, stride: usize, bottleneck: bool, changes: bool) -> Result<String> {
    // (kernel, stride) of each convolution; the stride of a bottleneck sits on its 3x3 convolution.
    let layers: &[(usize, usize)] = if bottleneck { &[(1, 1), (3, stride), (1, 1)] } else { &[(3, stride), (3, 1)] };
    let mut y = x.to_owned();
    for (i, &(kernel, stride)) in layers.iter().enumerate() {
        y = if i > 0 { g.relu(&y) } else { y };
        y = g.conv(&y, &format!("{name}.conv{}", i + 1), kernel, stride)?;
        y = g.norm(&y, &format!("{name}.bn{}", i + 1))?;
    }
    let shortcut = if changes {
        let x = g.conv(x, &format!("{name}.downsample.0"), 1, stride)?;
        g.norm(&x, &format!("{name}.downsample.1"))?
    } else {
        x.to_owned()
    };
    let sum = g.add(&y, &shortcut, &format!("{name}.add"));
    Ok(g.relu(&sum))
}

fn densenet(g: &mut Graph<'_>, x: &str, features: &str, blocks: [usize; 4]) -> Result<String> {
    let x = g.conv(x, "features.conv0", 7, 2)?;
    let x = g.norm(&x, "features.norm0")?;
    let x = g.relu(&x);
    let mut x = g.max_pool(&x, "features.pool0");
    for (block, layers) in (1..).zip(blocks) {
        for layer in 1..=layers {
            let name = format!("features.denseblock{block}.denselayer{layer}");
            let mut new = x.clone();
            for (part, kernel) in [(1, 1), (2, 3)] {
                new = g.norm(&new, &format!("{name}.norm{part}"))?;
                new = g.relu(&new);
                new = g.conv(&new, &format!("{name}.conv{part}"), kernel, 1)?;
            }
            x = g.concat(&x, &new, &format!("{name}.concat"));
        }
        if block < blocks.len() {
            let name = format!("features.transition{block}");
            x = g.norm(&x, &format!("{name}.norm"))?;
            x = g.relu(&x);
            x = g.conv(&x, &format!("{name}.conv"), 1, 1)?;
            x = g.average_pool(&x, &format!("{name}.pool"));
        }
    }
    let x = g.norm(&x, "features.norm5")?;
    let x = g.relu(&x);
    Ok(g.global_average(&x, features))
}
