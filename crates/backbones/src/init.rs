//! Initial weights, drawn on the host so that every device starts from the same numbers.

use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::{BatchNorm, Conv2d, Linear};

/// Makes layers with torchvision's initial distributions from one seeded stream; layers made in the same order from the
/// same seed are the same on every device.
#[derive(Debug)]
pub struct Initializer {
    rng: ChaCha8Rng,
    device: Device,
}

impl Initializer {
    /// Starts the stream of `seed`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), device: device.clone() }
    }

    /// The device of the layers.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Square convolution, normal with deviation `sqrt(2 / (out * k * k))`: torchvision's `kaiming_normal_(mode="fan_out",
    /// nonlinearity="relu")` of `resnet.py`.
    pub fn conv2d(&mut self, input: usize, output: usize, kernel: usize, stride: usize, padding: usize) -> Conv2d {
        self.conv2d_normal(output * kernel * kernel, [output, input, kernel, kernel], stride, padding)
    }

    /// Square convolution, normal with deviation `sqrt(2 / (in * k * k))`: `kaiming_normal_` with its default `fan_in`,
    /// as `densenet.py` has it.
    pub fn conv2d_fan_in(
        &mut self,
        input: usize,
        output: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> Conv2d {
        self.conv2d_normal(input * kernel * kernel, [output, input, kernel, kernel], stride, padding)
    }

    /// Scale 1, offset 0, running mean 0, running variance 1.
    pub fn batch_norm(&mut self, channels: usize) -> BatchNorm {
        let ones = || Tensor::ones([channels], &self.device);
        let zeros = || Tensor::zeros([channels], &self.device);
        BatchNorm::new(ones(), zeros(), zeros(), ones())
    }

    /// PyTorch's `nn.Linear` default: weight and bias uniform in `±1/sqrt(in)`.
    pub fn linear(&mut self, input: usize, output: usize) -> Linear {
        let bound = 1.0 / (input as f64).sqrt();
        let weight = self.uniform(output * input, bound);
        let bias = self.uniform(output, bound);
        Linear::new(
            Tensor::from_data(TensorData::new(weight, [output, input]), &self.device),
            Tensor::from_data(TensorData::new(bias, [output]), &self.device),
        )
    }

    fn conv2d_normal(&mut self, fan: usize, shape: [usize; 4], stride: usize, padding: usize) -> Conv2d {
        let weight = self.normal(shape.iter().product(), (2.0 / fan as f64).sqrt());
        Conv2d::new(Tensor::from_data(TensorData::new(weight, shape), &self.device), stride, padding)
    }

    fn uniform(&mut self, n: usize, bound: f64) -> Vec<f32> {
        (0..n).map(|_| ((self.rng.random::<f64>() * 2.0 - 1.0) * bound) as f32).collect()
    }

    /// Box-Muller, one value per pair of uniforms: simple and the same everywhere.
    fn normal(&mut self, n: usize, deviation: f64) -> Vec<f32> {
        (0..n)
            .map(|_| {
                let u = 1.0 - self.rng.random::<f64>(); // (0, 1], so that the logarithm is finite
                let v = self.rng.random::<f64>();
                ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos() * deviation) as f32
            })
            .collect()
    }
}
