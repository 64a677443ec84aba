//! The method against PyTorch in single precision: as near to PyTorch's f64 as ten times PyTorch's own f32 is
//! (`golden/make_moco.py` measures that gap and stores it).
#![allow(clippy::unwrap_used)]

mod support;

use burn::tensor::Device;
use support::{gap, golden, list};

#[test]
fn ten_steps_are_within_ten_times_pytorchs_own_gap() {
    let golden = golden("steps");
    for name in ["sgd", "adam"] {
        let found = support::run(name, &Device::flex());
        for (key, values) in &found {
            let gap = gap(values, &list(&golden[name]["values"][key]));
            let group = match key.split_once('.') {
                Some((side, rest)) if rest.contains("running") => format!("{side}.statistics"),
                Some((side, _)) => format!("{side}.parameters"),
                None => key.clone(),
            };
            let bound = 10.0 * golden[name]["f32_gap"][&group].as_f64().unwrap();
            assert!(gap <= bound, "{name}, {key}: off by {gap:e}, bound {bound:e}");
        }
    }
}
