//! Table 1 of the paper: improvement of MoCo over ImageNet weights, pleural effusion, CheXpert, ResNet18 and DenseNet121.
//!
//!     cargo run --release --example table1 -- --results results/chexpert     # models made by `moco-cxr linear` and `finetune`
//!     cargo run --release --example table1 -- --smoke                        # minutes, no download
//!
//! The smoke run draws a synthetic set and trains for seconds; random weights stand for ImageNet's. Its numbers show that
//! the machinery works. They have nothing to do with the paper's beside them.

use moco_cxr::reproduce::PaperTable;

mod drawn_films;
mod paper_tables;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    paper_tables::run(PaperTable::Table1, &std::env::args().skip(1).collect::<Vec<_>>())
}
