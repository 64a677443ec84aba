//! A weight file in any form: pickles in a zip or a stream, the tar of 2017, safetensors.

use std::hint::black_box;

use backbones::{ImportOptions, WeightFile};

use crate::Outcome;

pub(crate) fn run(bytes: &[u8]) -> Outcome {
    let file = WeightFile::from_bytes("weights", bytes.to_vec()).map_err(|fault| fault.to_string())?;
    for info in file.tensors() {
        // A tensor without strides may be larger than the file; one that is much larger is none of ours.
        if info.len() <= 1 << 20 {
            assert_eq!(file.tensor(info).shape().to_vec(), info.shape);
        }
    }
    black_box((file.inspect().to_string(), file.is_checked()));
    black_box(file.find(&ImportOptions::strict()).is_ok());
    Ok(())
}
