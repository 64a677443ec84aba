//! A checkpoint of a run. The first byte says which of its files the rest is; the checksums are made right, so that what lies
//! behind them is reached.

use std::collections::BTreeMap;

use moco_core::RunState;

use crate::Outcome;
use crate::plain::files::{folder, write};

/// A checkpoint of version 0.1.0 and the network of a test, a few kilobytes.
const FILES: [(&str, &[u8]); 4] = {
    macro_rules! file {
        ($name:literal) => {
            ($name, include_bytes!(concat!("../../../crates/moco-core/tests/old_checkpoint/step-00000007/", $name)))
        };
    }
    [file!("position.json"), file!("weights.safetensors"), file!("optimizer.safetensors"), file!("queue.safetensors")]
};

pub(crate) fn run(bytes: &[u8]) -> Outcome {
    let (&which, rest) = bytes.split_first().ok_or("no bytes")?;
    let folder = folder("checkpoints");
    let mut sums = BTreeMap::new();
    for (at, (name, whole)) in FILES.iter().enumerate() {
        let content = if usize::from(which) % 5 == at { rest } else { whole };
        write(&folder.join(name), content);
        sums.insert(*name, blake3::hash(content).to_hex().to_string());
    }
    let sums = serde_json::to_vec(&sums).map_err(|fault| fault.to_string())?;
    // Fifth file: the list of checksums itself.
    write(&folder.join("complete.json"), if which % 5 == 4 { rest } else { &sums });
    RunState::read(&folder).map(drop).map_err(|fault| fault.to_string())
}
