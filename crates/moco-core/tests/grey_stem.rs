//! A grey plane in a three-channel stem trains it as three normalised copies do in PyTorch (`golden/make_stem.py`), border
//! included. A binary of its own: a device's precision is set once per process.
#![allow(clippy::unwrap_used)]

use std::{fs, sync::LazyLock};

use backbones::{Arch, Conv2d, Mode, Network, NetworkConfig, Normalization, Stem, load_state_dict, state_dict};
use burn::{
    module::Module,
    tensor::{Device, FloatDType, Gradients, Tensor, TensorData},
};
use moco_core::{NamedGradients, OptimizerConfig, Rule};
use safetensors::SafeTensors;

static DEVICE: LazyLock<Device> = LazyLock::new(|| {
    let mut device = Device::flex();
    device.configure(FloatDType::F64).unwrap();
    device.autodiff()
});

/// Relative to the largest value: sums of 147 products (maps), and of some ten thousand (gradients), in f64 and in
/// another order; a constant that is folded in differs from one subtracted before by a few roundings of numbers of order
/// 10.
const TOLERANCE: f64 = 1e-11;

const SIZES: [(&str, [usize; 2]); 2] = [("square", [32, 32]), ("wide", [33, 47])];

const NORMALIZATIONS: [(&str, Normalization); 3] = [
    ("grey", Normalization::MOCO_CXR),
    ("imagenet", Normalization::IMAGENET),
    ("uneven", Normalization { mean: [0.1, 0.5, 0.8], std: [0.9, 0.25, 0.07] }),
];

#[test]
fn the_folded_stem_equals_three_planes_in_output_gradient_and_updates() {
    for (size, [h, w]) in SIZES {
        for (name, normalization) in NORMALIZATIONS {
            let case = format!("{size}.{name}");
            let mut stem = Stem::new(Conv2d::new(weight(), 2, 3), normalization).train();
            let mut adam = OptimizerConfig::new(Rule::ADAM, 1e-4).init();
            for step in 0..2 {
                let maps = stem.forward(plane(h, w));
                let gradients = loss(&format!("maps{step}"), &maps);
                if step == 0 {
                    compare(&format!("{case}.maps"), kept(maps, 1));
                    compare(&format!("{case}.gradient"), kept(gradient(&stem.weight.val(), &gradients), 0));
                }
                let gradients = NamedGradients::take(&stem, gradients);
                stem = adam.step(stem, gradients, 1e-3);
                assert_eq!(stem.weight.val().dims(), [64, 3, 7, 7]);
                compare(&format!("{case}.adam{step}"), kept(stem.weight.val(), 0));
            }
        }
    }
}

#[test]
fn the_stems_of_resnet_and_densenet_take_a_grey_plane() {
    for (arch, first) in [(Arch::ResNet18, "conv1.weight"), (Arch::DenseNet121, "features.conv0.weight")] {
        let base = NetworkConfig::new(arch).init(0, &DEVICE);
        let mut dict = state_dict(&base).unwrap();
        dict.insert(first.to_owned(), weight().into_data());
        // Whole networks take their time; the other cases are those of the bare stem.
        for ((size, [h, w]), (name, normalization)) in SIZES.into_iter().zip([NORMALIZATIONS[0], NORMALIZATIONS[2]]) {
            let net = NetworkConfig { normalization, ..NetworkConfig::new(arch) }.init(0, &DEVICE);
            let mut net: Network = load_state_dict(net, &dict).unwrap();
            let [stage, ..] = net.stages(plane(h, w), Mode::TRAIN);
            let gradients = loss("stage", &stage);
            compare(&format!("{size}.{name}.stage"), kept(stage, 1));
            let named = NamedGradients::take(&net, gradients);
            let gradient = named.get(first).unwrap().reshape([64, 3, 7, 7]);
            compare(&format!("{size}.{name}.stage_gradient"), kept(gradient, 0));
        }
    }
}

fn weight() -> Tensor<4> {
    // The generator's `weight` divides by 2^e with the least e for which 6·4^e reaches the 147 inputs: 3.
    let values: Vec<f64> = formula("stem", 64 * 3 * 7 * 7).into_iter().map(|u| u / 8.0).collect();
    Tensor::from_data(TensorData::new(values, [64, 3, 7, 7]), &*DEVICE)
}

fn plane(h: usize, w: usize) -> Tensor<4> {
    let values: Vec<f64> = formula("plane", 2 * h * w).into_iter().map(|u| (u + 1.0) / 2.0).collect();
    Tensor::from_data(TensorData::new(values, [2, 1, h, w]), &*DEVICE)
}

fn loss(name: &str, maps: &Tensor<4>) -> Gradients {
    let factors = TensorData::new(formula(name, maps.dims().iter().product()), maps.dims());
    (maps.clone() * Tensor::from_data(factors, &*DEVICE)).sum().backward()
}

fn gradient(weight: &Tensor<4>, gradients: &Gradients) -> Tensor<4> {
    weight.grad(gradients).unwrap()
}

/// Output channels 5 and 37, those that the generator keeps; they lie along dimension `dim`.
fn kept(tensor: Tensor<4>, dim: usize) -> Vec<f64> {
    let channels = [5, 37].map(|c| tensor.clone().slice_dim(dim, c..c + 1));
    Tensor::cat(channels.to_vec(), dim).into_data().convert::<f64>().try_to_vec().unwrap()
}

fn compare(name: &str, found: Vec<f64>) {
    static GOLDEN: LazyLock<Vec<u8>> =
        LazyLock::new(|| fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/stem/stem.safetensors")).unwrap());
    let file = SafeTensors::deserialize(&GOLDEN).unwrap();
    let bytes = file.tensor(name).unwrap().data().to_vec();
    let expected: Vec<f64> = bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(found.len(), expected.len(), "{name}");
    let largest = expected.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    let error = found.iter().zip(&expected).map(|(f, e)| (f - e).abs()).fold(0.0, f64::max);
    assert!(found.iter().all(|f| f.is_finite()) && error <= TOLERANCE * largest, "{name}: {error:e} of {largest:e}");
}

/// `formula` of `golden/make_backbones.py`.
fn formula(name: &str, count: usize) -> Vec<f64> {
    let start = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |s, b| (s ^ u64::from(b)).wrapping_mul(0x100_0000_01B3));
    (1..=count as u64)
        .map(|i| {
            let mut z = start.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (((z ^ (z >> 31)) >> 48) as f64) / 32768.0 - 1.0
        })
        .collect()
}
