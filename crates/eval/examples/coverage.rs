//! Coverage of the 95 % intervals on simulated patients with correlated images (`docs/results/statistics.md`).
//!
//! cargo run --release -p moco-cxr-eval --no-default-features --example coverage
#![allow(clippy::print_stdout)]

mod simulation;

use simulation::{CORRELATION, PATIENTS, TRUE_AUROC, coverage};

fn main() {
    let (simulations, replicates) = (4000, 1000);
    println!(
        "{simulations} simulations of {PATIENTS} patients with 1 to 5 images, correlation {CORRELATION}, true AUROC \
         {TRUE_AUROC:.4}; {replicates} replicates\n"
    );
    let mut table = eval::Table::new([
        "prevalence",
        "clustered percentile",
        "clustered BCa",
        "clustered DeLong",
        "unclustered percentile",
        "unclustered DeLong",
        "width clustered",
        "width unclustered",
    ]);
    for prevalence in [0.2, 0.5] {
        let result = coverage(prevalence, simulations, replicates, 2);
        let shares = [
            result.clustered,
            result.clustered_bca,
            result.clustered_delong,
            result.unclustered,
            result.unclustered_delong,
        ];
        let widths = [result.widths.0, result.widths.1];
        let cells = std::iter::once(prevalence.to_string())
            .chain(shares.map(|share| format!("{:.2} %", 100.0 * share)))
            .chain(widths.map(|width| format!("{width:.3}")));
        table.push(cells);
    }
    println!("{}", table.to_markdown());
}
