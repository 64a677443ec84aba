//! Table 2 of the paper: the learning rate of the pretraining, tuberculosis, Shenzhen, ResNet18, linear.
//!
//!     cargo run --release --example table2 -- --results results/shenzhen     # results of `moco-cxr linear` and `finetune`
//!     cargo run --release --example table2 -- --smoke                        # minutes, no download
//!
//! The smoke run generates a synthetic data set and trains for seconds; a synthetic effusion replaces tuberculosis. It shows
//! that the program works, but its numbers cannot be compared with the paper's.

use moco_cxr::reproduce::PaperTable;

mod drawn_films;
mod paper_tables;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    paper_tables::run(PaperTable::Table2, &std::env::args().skip(1).collect::<Vec<_>>())
}
