//! Table 2 of the paper: the learning rate of the pretraining, tuberculosis, Shenzhen, ResNet18, linear.
//!
//!     cargo run --release --example table2 -- --results results/shenzhen     # models made by `moco-cxr linear` and `finetune`
//!     cargo run --release --example table2 -- --smoke                        # minutes, no download
//!
//! The smoke run draws a synthetic set and trains for seconds; a drawn effusion stands for tuberculosis. Its numbers show that
//! the machinery works. They have nothing to do with the paper's beside them.

use moco_cxr::reproduce::PaperTable;

mod drawn_films;
mod paper_tables;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    paper_tables::run(PaperTable::Table2, &std::env::args().skip(1).collect::<Vec<_>>())
}
