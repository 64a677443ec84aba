//! Burn's fusion on 0.22.1 gives wrong numbers: a contrastive loss on the CPU and through wgpu.
//!
//! `cargo run` has fusion on, `cargo run --no-default-features` off. On a machine without a GPU, Mesa's lavapipe will do; there
//! (Mesa 22.3, LLVM 15.0.6, `CUBECL_AUTOTUNE_LEVEL=minimal`) it printed on 2026-11-27:
//!
//! ```text
//! fusion on
//! loss                 CPU   8.722158, wgpu   1.901424
//! top-1                CPU   0.000000, wgpu   0.000000
//! top-5                CPU   0.000000, wgpu   0.000000
//! mean of positives    CPU  -0.397065, wgpu  -0.397065
//! mean of negatives    CPU  -0.002888, wgpu  -0.002888
//! gradient: largest difference 0.136017, largest value 0.705770
//!
//! fusion off
//! loss                 CPU   8.722158, wgpu   8.722157
//! top-1                CPU   0.000000, wgpu   0.000000
//! top-5                CPU   0.000000, wgpu   0.000000
//! mean of positives    CPU  -0.397065, wgpu  -0.397065
//! mean of negatives    CPU  -0.002888, wgpu  -0.002888
//! gradient: largest difference 0.000000, largest value 0.705770
//! ```

use burn::tensor::{Device, DeviceKind, Int, Tensor, TensorData};

/// Rows of unit length, `[n, 16]`, the same on every device.
fn rows(n: usize, seed: usize, device: &Device) -> Tensor<2> {
    let values = (0..n * 16).map(|i| ((i * 7919 + seed * 3181) % 1009) as f32 / 1009.0 - 0.5);
    let rows = Tensor::<2>::from_data(TensorData::new(values.collect::<Vec<f32>>(), [n, 16]), device);
    let length = rows.clone().square().sum_dim(1).sqrt();
    rows / length
}

/// Loss, top-1, top-5, mean similarity of positives and of negatives, and the gradient of the queries.
fn contrast(device: &Device) -> (Vec<f32>, Vec<f32>) {
    let q = rows(4, 0, device).autodiff().require_grad();
    let (k, queue) = (rows(4, 50, device).autodiff(), rows(64, 100, device).autodiff());
    let pos = (q.clone() * k).sum_dim(1); // [4, 1]
    let neg = q.clone().matmul(queue.transpose()); // [4, 64]
    // Known from earlier trials: the loss is wrong if the mean of the positives is asked for too.
    let similarity = (pos.clone().inner().mean(), neg.clone().inner().mean());

    let (l_pos, l_neg) = (pos * 5.0, neg * 5.0);
    let largest = l_neg.clone().inner().max_dim(1).max_pair(l_pos.clone().inner());
    let largest = Tensor::from_inner(largest);
    let sum = (l_neg.clone() - largest.clone()).exp().sum_dim(1) + (l_pos.clone() - largest.clone()).exp();
    let loss = (sum.log() + largest - l_pos.clone()).mean();

    let better: Tensor<2, Int> = l_neg.inner().greater_equal(l_pos.inner()).int().sum_dim(1); // [4, 1]
    let top = |m: i32| better.clone().lower_elem(m).float().sum() / 4.0;
    let measures = vec![loss.clone().inner(), top(1), top(5), similarity.0, similarity.1];
    let measures = Tensor::cat(measures, 0);
    let gradient = q.grad(&loss.backward()).expect("the gradient of the queries");
    (numbers(measures), numbers(gradient.reshape([-1])))
}

fn numbers(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn main() {
    let (right, right_gradient) = contrast(&Device::flex());
    let (found, gradient) = contrast(&Device::wgpu(DeviceKind::DefaultDevice));
    println!("fusion {}", if cfg!(feature = "fusion") { "on" } else { "off" });
    for (i, what) in ["loss", "top-1", "top-5", "mean of positives", "mean of negatives"].iter().enumerate() {
        println!("{what:20} CPU {:10.6}, wgpu {:10.6}", right[i], found[i]);
    }
    let off = right_gradient.iter().zip(&gradient).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let largest = right_gradient.iter().map(|a| a.abs()).fold(0.0, f32::max);
    println!("gradient: largest difference {off:.6}, largest value {largest:.6}");
}
