//! The flags that several subcommands share, each declared once: one file per group, to be flattened into the arguments
//! of a subcommand.
//!
//! Flags with a default are options here, and their help states the default, because some subcommands take it from a
//! settings file instead.

pub(crate) mod bad_argument;
pub(crate) mod bootstrap;
pub(crate) mod device;
pub(crate) mod features;
pub(crate) mod images;
pub(crate) mod labels;
pub(crate) mod new_name;
pub(crate) mod output;
pub(crate) mod predictions;
pub(crate) mod private;
pub(crate) mod ranks;
pub(crate) mod reading;
pub(crate) mod seed;
mod self_test;
pub(crate) mod settings;
pub(crate) mod shard;
pub(crate) mod source;
pub(crate) mod study;
pub(crate) mod time;
pub(crate) mod weights;

pub(crate) use self_test::{CUDNN_NOTE, describe, in_child};
