//! Optimisers as PyTorch defines them: SGD, Adam, AdamW and LARS.
//!
//! A step is a pure function of the gradients: [`NamedGradients`] are taken from a backward pass, may be averaged over
//! micro-batches and clipped, and are applied by [`Optimizer::step`]. State is kept by tensor name, flat, on the
//! tensor's device; it depends neither on Burn's parameter ids nor on a default device.

mod average;
mod gradients;
#[cfg(feature = "flex")]
mod in_place;
mod optimizer;
mod order;
mod rule;
#[cfg(feature = "cube")]
mod together;

pub use average::{moving_average, moving_averages};
pub use gradients::NamedGradients;
pub use optimizer::{Optimizer, OptimizerConfig};
pub use order::Order;
pub use rule::Rule;
