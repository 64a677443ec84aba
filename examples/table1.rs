//! Table 1 of the paper: improvement of MoCo over ImageNet weights, pleural effusion, CheXpert, ResNet18 and DenseNet121.
//!
//!     cargo run --release --example table1 -- --results results/chexpert     # results of `moco-cxr linear` and `finetune`
//!     cargo run --release --example table1 -- --smoke                        # minutes, no download
//!
//! The smoke run generates a synthetic data set and trains for seconds; random weights replace ImageNet's. It shows that the
//! program works, but its numbers cannot be compared with the paper's.

use moco_cxr::reproduce::PaperTable;

mod drawn_films;
mod paper_tables;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    paper_tables::run(PaperTable::Table1, &std::env::args().skip(1).collect::<Vec<_>>())
}
