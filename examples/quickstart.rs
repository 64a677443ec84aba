//! Everything in one command: a synthetic chest X-ray set, pretraining, and linear probes at 1, 10 and 100 % of the labels,
//! compared with the same network with random weights. Takes a minute and a half on two CPU cores; no download. `moco-cxr quickstart`
//! does the same; how it is done is in `src/quickstart/mod.rs`.
//!
//!     cargo run --release --example quickstart [-- --seed 0 --out runs/quickstart-0]
//!
//! The images are synthetic: the results show that the program works, and say nothing about patients.

#![allow(clippy::print_stdout)]

mod arguments;

use std::{error::Error, path::PathBuf, time::Instant};

use moco_cxr::{Quickstart, TrainingWatch, Watch, moco_core::Observer};

fn main() -> Result<(), Box<dyn Error>> {
    let [seed, out] = arguments::values(["--seed", "--out"])?;
    let mut quickstart = Quickstart::default();
    quickstart.seed = seed.map_or(Ok(0), |text| text.parse())?;
    let out = PathBuf::from(out.unwrap_or_else(|| format!("runs/quickstart-{}", quickstart.seed)));
    let mut watch = Print(Instant::now());
    let Some(found) = quickstart.run(&out, &mut watch)? else { return Ok(()) };
    watch.line(&format!("{}\n\n{}", found.summary, found.results.outcome().table().to_markdown()));
    watch.line(&format!("report: {}", found.report.display()));
    Ok(())
}

/// Prints notes and lines with the seconds since the start.
struct Print(Instant);

impl Watch for Print {
    fn note(&self, text: &str) {
        self.line(text);
    }

    fn line(&self, text: &str) {
        println!("[{:4.0} s] {text}", self.0.elapsed().as_secs_f64());
    }
}

impl Observer for Print {}

impl TrainingWatch for Print {}
