//! What can go wrong with networks and weight files.

/// Every fault of this crate. Messages say where, what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The device failed while work was done on it.
    #[error("{what}: the device failed: {reason}")]
    Device {
        /// What was being done.
        what: String,
        /// What the device said.
        reason: String,
    },
    /// Names of tensors do not match the network.
    #[error("tensor names do not match the network: {} missing {missing:?}, {} left over {left_over:?}", missing.len(), left_over.len())]
    Names {
        /// Tensors of the network that the source lacks.
        missing: Vec<String>,
        /// Tensors of the source that the network lacks.
        left_over: Vec<String>,
    },
    /// A tensor has another shape than the network's.
    #[error("tensor {name}: found shape {found:?}, expected {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// Shape in the source.
        found: Vec<usize>,
        /// Shape in the network.
        expected: Vec<usize>,
    },
    /// Not an architecture of this crate.
    #[error("unknown architecture {found:?}, expected one of {expected}")]
    Arch {
        /// What was asked for.
        found: String,
        /// What there is.
        expected: String,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
