//! The networks against torchvision: `golden/make_backbones.py` computed the expected values.
//!
//! Weights, images and the loss come from the same formula on both sides. A tensor is compared by its digest: its sum under
//! random signs, its norm and one sampled value; one plane per stage is compared in full.

use std::{fs, path::PathBuf};

use backbones::{
    Arch, Backbone, Mode, Network, NetworkConfig, Normalization, StateDict, TensorKind, TensorMapper, TensorVisitor,
    load_state_dict, map_tensors, state_dict, tensor_names, visit_tensors,
};
use burn::{
    module::Param,
    tensor::{Device, Gradients, Tensor, TensorData},
};
use safetensors::SafeTensors;

/// `LEARNING_RATE` of the generator, which says why it is small.
const RATE: f64 = 1.0 / 32768.0;

/// What the error of a value may be.
#[derive(Clone, Copy)]
pub(crate) struct Tolerance {
    /// This part of the largest value (of the norm, for sums and norms), and
    pub(crate) relative: f64,
    /// this many times the error that PyTorch makes in f32 on the same tensor.
    pub(crate) times_pytorch_f32: f64,
}

/// Compares everything of one network; returns the largest error in units of the tolerance.
pub(crate) fn compare(arch: Arch, device: &Device, tolerance: Tolerance) -> f64 {
    let golden = Golden::open(arch);
    let mut worst = Worst { golden: &golden, tolerance, largest: (0.0, String::new()) };
    for (case, shape) in [("square", [4, 3, 64, 64]), ("wide", [4, 3, 48, 80])] {
        for (name, mode) in [("eval", Mode::Eval), ("train", Mode::TRAIN)] {
            let mut net = network(arch, device);
            let stages = net.stages(images(case, shape, device), mode);
            let features = stages[4].clone().mean_dims(&[2, 3]).flatten::<2>(1, 3);
            let group = format!("{case}.{name}.stages");
            worst.planes(&format!("{case}.{name}.planes"), &group, &stages);
            for (i, stage) in stages.into_iter().enumerate() {
                worst.digest(&group, i, &i.to_string(), &values(stage));
            }
            worst.digest(&group, 5, "features", &values(features));
        }
    }

    let mut net = network(arch, device);
    let gradients = backward(&mut net, "wide", device);
    worst.group("wide.train.gradients", &gradients);

    worst.group("wide.steps.running", &running_statistics(arch, device, RATE));
    // Rounding does not hide the step: one of half the length is noticed.
    if tolerance.times_pytorch_f32 > 0.0 {
        let mut short = Worst { golden: &golden, tolerance, largest: (0.0, String::new()) };
        short.group("wide.steps.running", &running_statistics(arch, device, RATE / 2.0));
        println!("{arch}: half a step is {:.1e} of the tolerance away, at {}", short.largest.0, short.largest.1);
        assert!(short.largest.0 > 1.0, "{arch}");
    }
    println!("{arch}: largest error {:.1e} of the tolerance, at {}", worst.largest.0, worst.largest.1);
    worst.largest.0
}

/// Running statistics after two training steps.
fn running_statistics(arch: Arch, device: &Device, rate: f64) -> StateDict {
    let mut net = network(arch, device);
    for step in 0..2 {
        let gradients = backward(&mut net, &format!("step{step}"), device);
        net = map_tensors(net, &mut Descend { gradients: &gradients, rate });
    }
    let mut running = state_dict(&net).unwrap();
    running.retain(|name, _| TensorKind::of(name) == TensorKind::Buffer);
    running
}

fn network(arch: Arch, device: &Device) -> Network {
    let config = NetworkConfig { arch, channels: 3, normalization: Normalization::IMAGENET };
    let net = config.init(0, device);
    let dict = tensor_names(&net).into_iter().map(|(name, _, shape)| (name.clone(), weight(&name, &shape))).collect();
    load_state_dict(net, &dict).unwrap()
}

/// Gradients of `sum(features * formula("loss"))` by name, after a forward pass in training mode.
fn backward(net: &mut Network, case: &str, device: &Device) -> StateDict {
    let features = net.features(images(case, [4, 3, 48, 80], device), Mode::TRAIN); // [4, D]
    let factors = TensorData::new(formula("loss", 4 * net.feature_dim()), [4, net.feature_dim()]);
    let gradients = (features * Tensor::from_data(factors, device)).sum().backward();
    struct Read<'a>(&'a Gradients, StateDict);
    impl TensorVisitor for Read<'_> {
        fn visit<const D: usize>(&mut self, name: &str, _: TensorKind, param: &Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad(self.0) {
                self.1.insert(name.to_owned(), gradient.into_data());
            }
        }
    }
    let mut read = Read(&gradients, StateDict::new());
    visit_tensors(net, &mut read);
    read.1
}

/// `p -= rate * g / (1 + |g|)`, the step that the generator makes.
struct Descend<'a> {
    gradients: &'a StateDict,
    rate: f64,
}

impl TensorMapper for Descend<'_> {
    fn map<const D: usize>(&mut self, name: &str, _: TensorKind, old: Tensor<D>) -> Tensor<D> {
        let Some(gradient) = self.gradients.get(name) else { return old };
        let gradient = Tensor::<D>::from_data(gradient.clone(), &old.device()).inner();
        let length = values(gradient.clone()).iter().map(|g| g * g).sum::<f64>().sqrt();
        Tensor::from_inner(old.inner() - gradient * (self.rate / (1.0 + length))).require_grad()
    }
}

fn images(name: &str, shape: [usize; 4], device: &Device) -> Tensor<4> {
    let values = formula(name, shape.iter().product()).into_iter().map(|u| 2.0 * u).collect::<Vec<_>>();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    numbers(&tensor.into_data())
}

fn numbers(data: &TensorData) -> Vec<f64> {
    data.clone().convert::<f64>().try_to_vec().unwrap()
}

/// `weight` of the generator.
fn weight(name: &str, shape: &[usize]) -> TensorData {
    let mut u = formula(name, shape.iter().product());
    let fan: usize = shape[1..].iter().product();
    let exponent = (0..).find(|&e| 6 * 4usize.pow(e) >= fan).unwrap();
    let last = name.rsplit('.').next().unwrap();
    u.iter_mut().for_each(|u| {
        *u = match last {
            "weight" if shape.len() > 1 => *u / f64::from(1u32 << exponent),
            "weight" => 1.0 + *u / 4.0,
            "running_var" => 1.0 + *u / 2.0,
            _ => *u / 8.0,
        }
    });
    TensorData::new(u, shape.to_vec())
}

/// `formula` of the generator.
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

/// The stored values of one network.
struct Golden(Vec<u8>);

impl Golden {
    fn open(arch: Arch) -> Self {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/backbones"));
        Self(fs::read(folder.join(format!("{arch}.safetensors"))).unwrap())
    }

    fn read(&self, group: &str) -> Vec<f64> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let bytes = file.tensor(group).unwrap().data().to_vec();
        bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
    }
}

struct Worst<'a> {
    golden: &'a Golden,
    tolerance: Tolerance,
    largest: (f64, String),
}

impl Worst<'_> {
    /// All tensors of a group, in the order of their names.
    fn group(&mut self, group: &str, found: &StateDict) {
        assert_eq!(self.golden.read(group).len(), 6 * found.len(), "{group}: number of tensors");
        for (row, (name, data)) in found.iter().enumerate() {
            self.digest(group, row, name, &numbers(data));
        }
    }

    fn digest(&mut self, group: &str, row: usize, name: &str, found: &[f64]) {
        let golden = self.golden.read(group);
        let [sum, norm, sample, largest, gap_norm, gap_largest] = golden[6 * row..][..6] else { unreachable!() };
        let name = format!("{group}.{name}");
        let signs = formula(&name, found.len());
        let signed: f64 = found.iter().zip(&signs).map(|(v, s)| if *s < 0.0 { -v } else { *v }).sum();
        let at = ((formula(&format!("{name}.sample"), 1)[0] + 1.0) / 2.0 * found.len() as f64) as usize;
        let length = found.iter().map(|v| v * v).sum::<f64>().sqrt();
        // A sum under random signs has the standard deviation |error|, so that the norm of the error bounds all three.
        self.value(&format!("{name} (sum)"), signed - sum, norm, gap_norm);
        self.value(&format!("{name} (norm)"), length - norm, norm, gap_norm);
        self.value(&format!("{name} [{at}]"), found[at] - sample, largest, gap_largest);
    }

    /// Channel 1 of the first image, of all stages one after the other.
    fn planes(&mut self, planes: &str, stages: &str, found: &[Tensor<4>; 5]) {
        let mut expected = self.golden.read(planes).into_iter();
        let digests = self.golden.read(stages);
        for (i, stage) in found.iter().enumerate() {
            for (p, found) in values(stage.clone().slice([0..1, 1..2])).into_iter().enumerate() {
                let error = found - expected.next().unwrap();
                self.value(&format!("{planes}.{i} [{p}]"), error, digests[6 * i + 3], digests[6 * i + 5]);
            }
        }
        assert_eq!(expected.len(), 0, "{planes}: number of values");
    }

    fn value(&mut self, what: &str, error: f64, scale: f64, gap: f64) {
        let allowed = self.tolerance.relative * scale + self.tolerance.times_pytorch_f32 * gap;
        let used = if error == 0.0 { 0.0 } else { error.abs() / allowed };
        if used > self.largest.0 || used.is_nan() {
            self.largest = (used, what.to_owned());
        }
    }
}
