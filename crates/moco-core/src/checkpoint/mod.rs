//! Checkpoints: the whole state of a run, written whole or not at all.
//!
//! ```text
//! checkpoints/
//!   step-00000123/
//!     weights.safetensors     encoder_q.*, encoder_k.*, with running statistics
//!     optimizer.safetensors   encoder_q.conv1.weight/exp_avg, ...
//!     queue.safetensors       rows, pointer, patients, steps
//!     position.json           where the run is, its configuration, the epoch so far
//!     complete.json           BLAKE3 of the four files; written last
//!   latest                    name of the newest
//!   best                      name of the best by the online probe, where there is one
//! ```
//!
//! A directory is written under another name, flushed to disk and renamed. What lacks `complete.json`, or does not match
//! it, is never loaded.

mod differences;
mod files;
mod folder;
mod reference;
mod state;

pub use differences::differences;
pub use folder::{Checkpoints, Found, Ignored, Keep};
pub use reference::MocoImport;
pub use state::RunState;
