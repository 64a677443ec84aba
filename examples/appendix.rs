//! The tables of the paper's appendix: `app1` AUROC on CheXpert, `app2` and `app3` AUROC and improvement on Shenzhen, `app4`
//! and `app5` other tasks of CheXpert, linear and end to end.
//!
//!     cargo run --release --example appendix -- app1 --results results/chexpert   # results of `moco-cxr linear` and `finetune`
//!     cargo run --release --example appendix -- app1 --smoke                      # minutes, no download
//!
//! The smoke run generates a synthetic data set and trains linear models for seconds (`app5` has none). A synthetic effusion
//! replaces every task, and random weights replace ImageNet's, so its numbers cannot be compared with the paper's.

use moco_cxr::reproduce::PaperTable;

mod drawn_films;
mod paper_tables;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named =
        |name: &String| PaperTable::ALL.into_iter().find(|table| table.name() == name && name.starts_with("app"));
    let table = arguments.first().and_then(named).ok_or("the first argument must be app1, app2, app3, app4 or app5")?;
    paper_tables::run(table, &arguments[1..])
}
