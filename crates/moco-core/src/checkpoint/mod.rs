//! Checkpoints: the complete state of a run, written atomically.
//!
//! ```text
//! checkpoints/
//!   step-00000123/
//!     weights.safetensors     encoder_q.*, encoder_k.*, with running statistics
//!     optimizer.safetensors   encoder_q.conv1.weight/exp_avg, ...
//!     queue.safetensors       rows, pointer, patients, steps
//!     position.json           position of the run, its configuration, sums over the epoch so far
//!     complete.json           BLAKE3 of the four files; written last
//!   latest                    name of the newest checkpoint
//!   best                      name of the best by the online probe, if there is one
//! ```
//!
//! A directory is written under a temporary name, flushed to disk and renamed. A checkpoint without `complete.json`, or
//! one that does not match it, is never loaded.

mod differences;
mod files;
mod folder;
mod reference;
mod state;

pub use differences::differences;
pub use folder::{Checkpoints, Found, Ignored, Keep};
pub use reference::MocoImport;
pub use state::RunState;
