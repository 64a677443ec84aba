//! Heat maps of the image regions that a score depends on: Grad-CAM (Selvaraju et al., arXiv:1610.02391, equations 1
//! and 2).
//!
//! Letters: B images, C channels of the last maps, h and w their height and width, T tasks.

use backbones::{Classifier, FeatureMaps, Mode, global_average};
use burn::module::Module;
use ndarray::Array3;

use super::images::{check_batch, device_of, read, upload};
use crate::error::{Error, Result};

/// Heat maps of one task, and its scores.
#[derive(Debug, Clone, PartialEq)]
pub struct GradCam {
    /// `[B, h, w]`: the evidence for the finding at each position, 0 where there is none or evidence against it. Not
    /// scaled: compare values only within an image.
    pub maps: Array3<f64>,
    /// Logits of the task, `[B]`.
    pub logits: Vec<f64>,
}

/// Heat maps of the logit of task `task`, with the network in eval mode: `relu(Σ_c α_c·A_c)`, where `A_c` is the c-th
/// of the last maps and `α_c` the mean over positions of the logit's gradient with respect to it.
///
/// A heat map has the resolution of the last maps (a 32nd of the image for ResNet and DenseNet); enlarge it for
/// display. It shows what the network used, not where the disease is: heat maps and a radiologist's outlines often
/// differ (Saporta et al. 2022, doi:10.1038/s42256-022-00536-x).
///
/// # Shapes
/// - images `[B, S, S]` u8 (0 black, 255 white)
///
/// # Errors
/// No images; a task that the network does not have; a map that is not finite; a device that fails.
pub fn grad_cam<B: FeatureMaps>(model: &Classifier<B>, images: &Array3<u8>, task: usize) -> Result<GradCam> {
    check_batch(images, images.dim().0)?;
    let mut model = model.valid();
    let device = device_of(&model.backbone)?;
    let maps = model.backbone.feature_maps(upload(images, &device), Mode::Eval); // [B, C, h, w], off the tape
    let [b, c, h, w] = maps.dims();
    // Only what comes after the maps is differentiated: one small layer.
    let leaf = maps.clone().autodiff().require_grad();
    let logits = model.head.train().forward(global_average(leaf.clone())); // [B, T]
    let [_, tasks] = logits.dims();
    if task >= tasks {
        let found = format!("{task} of a network with {tasks}");
        return Err(Error::Setting {
            name: "task of a heat map",
            found,
            expected: "a number below its number of tasks",
        });
    }
    let logits = logits.slice([0..b, task..task + 1]); // [B, 1]
    // In eval mode a logit depends on its own image alone, so the gradient of their sum holds that of each.
    let gradients = logits.clone().sum().backward();
    let what = "reading the gradient of a heat map";
    let gradient = leaf.grad(&gradients).ok_or(Error::Device { what, reason: "there is none".to_owned() })?; // [B, C, h, w]
    let weights = gradient.reshape([b, c, h * w]).mean_dim(2).reshape([b, c, 1, 1]);
    let heat = (maps * weights).sum_dim(1).clamp_min(0.0); // [B, 1, h, w]
    let (values, logits) = (read(heat, what)?, read(logits.inner(), "reading logits")?); // sync point
    let finite = values.iter().chain(&logits).all(|v| v.is_finite());
    match Array3::from_shape_vec((b, h, w), values) {
        Ok(maps) if finite => Ok(GradCam { maps, logits }),
        _ => Err(Error::Device { what, reason: "it is not finite".to_owned() }),
    }
}
