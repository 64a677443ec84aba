//! Names and shapes of each architecture's tensors, known without building a network.

use crate::Arch;

/// Name and shape of every tensor of an architecture (without `num_batches_tracked`), in torchvision's order. With
/// `classes`, also of the linear layer behind the features.
pub fn layout(arch: Arch, channels: usize, classes: Option<usize>) -> Vec<(String, Vec<usize>)> {
    let mut list = Layout(Vec::new());
    match arch {
        Arch::ResNet18 | Arch::ResNet18Narrow => list.resnet(channels, arch.stem_width(), [2, 2, 2, 2], false),
        Arch::ResNet34 => list.resnet(channels, arch.stem_width(), [3, 4, 6, 3], false),
        Arch::ResNet50 => list.resnet(channels, arch.stem_width(), [3, 4, 6, 3], true),
        Arch::DenseNet121 => list.densenet(channels, [6, 12, 24, 16]),
    }
    if let Some(classes) = classes {
        list.0.push((format!("{}.weight", arch.head_name()), vec![classes, arch.feature_dim()]));
        list.0.push((format!("{}.bias", arch.head_name()), vec![classes]));
    }
    list.0
}

struct Layout(Vec<(String, Vec<usize>)>);

impl Layout {
    fn conv(&mut self, name: &str, output: usize, input: usize, kernel: usize) {
        self.0.push((format!("{name}.weight"), vec![output, input, kernel, kernel]));
    }

    fn norm(&mut self, name: &str, channels: usize) {
        for tensor in ["weight", "bias", "running_mean", "running_var"] {
            self.0.push((format!("{name}.{tensor}"), vec![channels]));
        }
    }

    fn resnet(&mut self, channels: usize, width: usize, blocks: [usize; 4], bottleneck: bool) {
        self.conv("conv1", width, channels, 7);
        self.norm("bn1", width);
        let mut input = width;
        for (stage, blocks) in blocks.into_iter().enumerate() {
            let width = width << stage;
            let output = if bottleneck { 4 * width } else { width };
            for block in 0..blocks {
                let name = format!("layer{}.{block}", stage + 1);
                let (first, second) = if bottleneck { (1, 3) } else { (3, 3) };
                self.conv(&format!("{name}.conv1"), width, input, first);
                self.norm(&format!("{name}.bn1"), width);
                self.conv(&format!("{name}.conv2"), width, width, second);
                self.norm(&format!("{name}.bn2"), width);
                if bottleneck {
                    self.conv(&format!("{name}.conv3"), output, width, 1);
                    self.norm(&format!("{name}.bn3"), output);
                }
                if block == 0 && input != output {
                    self.conv(&format!("{name}.downsample.0"), output, input, 1);
                    self.norm(&format!("{name}.downsample.1"), output);
                }
                input = output;
            }
        }
    }

    fn densenet(&mut self, channels: usize, blocks: [usize; 4]) {
        self.conv("features.conv0", 64, channels, 7);
        self.norm("features.norm0", 64);
        let mut width = 64;
        for (block, layers) in (1..).zip(blocks) {
            for layer in 1..=layers {
                let name = format!("features.denseblock{block}.denselayer{layer}");
                self.norm(&format!("{name}.norm1"), width);
                self.conv(&format!("{name}.conv1"), 128, width, 1);
                self.norm(&format!("{name}.norm2"), 128);
                self.conv(&format!("{name}.conv2"), 32, 128, 3);
                width += 32;
            }
            if block < blocks.len() {
                self.norm(&format!("features.transition{block}.norm"), width);
                self.conv(&format!("features.transition{block}.conv"), width / 2, width, 1);
                width /= 2;
            }
        }
        self.norm("features.norm5", width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// torchvision's own counts, buffers not counted; the last one is PyTorch's of the network that the model card makes.
    #[test]
    fn parameters_with_a_thousand_classes() {
        let counts = [11_689_512, 21_797_672, 25_557_032, 7_978_856, 831_096];
        for (arch, count) in Arch::ALL.into_iter().zip(counts) {
            let tensors = layout(arch, 3, Some(1000));
            let parameters = tensors.iter().filter(|(name, _)| !name.contains("running_"));
            assert_eq!(parameters.map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>(), count, "{arch}");
        }
    }
}
