//! What a person sees of a running command, and how they stop it.

pub(crate) mod fetch;
pub(crate) mod interrupt;
pub(crate) mod print;
pub(crate) mod progress;
pub(crate) mod watch;
