//! Pooling: the maximum over 3x3 windows with stride 2 and one pixel of padding at the head of ResNet and DenseNet, and
//! averages over 2x2 windows and over whole planes.

mod average;
mod maximum;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub(crate) use average::{avg_pool_2x2, plane_means};
pub(crate) use maximum::max_pool_3x3_s2;
