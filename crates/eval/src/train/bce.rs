//! The loss for labels of which some are missing.

use burn::tensor::{Device, Tensor, TensorData, activation::log_sigmoid};
use ndarray::ArrayView2;

use crate::error::{Error, Result};

/// Binary cross-entropy of logits, `Σ mask · bce / Σ mask`: masked cells (NaN) neither count nor have a gradient
/// (MoCo-CXR, `chexpert-model/eval/loss.py`). `None` if every cell is masked, where PyTorch's quotient is NaN.
///
/// # Shapes
/// - logits `[B, T]`, targets `[B, T]`: 0, 1, or NaN where masked
/// - returns `[1]`
///
/// # Errors
/// Different shapes, or a target that is not 0, 1 or NaN.
pub fn masked_bce(logits: Tensor<2>, targets: ArrayView2<'_, f64>) -> Result<Option<Tensor<1>>> {
    let [rows, tasks] = logits.dims();
    crate::probe::check_targets(targets, rows)?;
    if targets.ncols() != tasks {
        return Err(Error::Length { what: "columns of targets", found: targets.ncols(), expected: tasks });
    }
    let labelled = targets.iter().filter(|target| !target.is_nan()).count();
    if labelled == 0 {
        return Ok(None);
    }
    let device = logits.device();
    // Divided here and not on the device: Burn differentiates a division by a number with the number rounded to f32.
    let share = 1.0 / labelled as f64;
    let weight = upload(targets.mapv(|target| if target.is_nan() { 0.0 } else { share }).view(), &device);
    let target = upload(targets.mapv(|target| if target.is_nan() { 0.0 } else { target }).view(), &device);
    // -t log σ(z) - (1 - t) log(1 - σ(z)) = (1 - t) z - log σ(z), with slope σ(z) - t everywhere, z = 0 included.
    let each = (target.neg() + 1.0) * logits.clone() - log_sigmoid(logits); // [B, T]
    Ok(Some((each * weight).sum()))
}

fn upload(values: ArrayView2<'_, f64>, device: &Device) -> Tensor<2> {
    let shape = [values.nrows(), values.ncols()];
    Tensor::from_data(TensorData::new(values.iter().copied().collect::<Vec<f64>>(), shape), device)
}
