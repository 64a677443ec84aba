//! Which labels are used and how: `--task`, `--policy` and `--per-image`.

use clap::Args;
use moco_cxr::cxr_data::LabelPolicy;

/// The labels of an evaluation.
#[derive(Debug, Clone, Args)]
pub(crate) struct LabelArguments {
    /// Label column; may be repeated.
    #[arg(long = "task", value_name = "NAME", required = true)]
    pub(crate) tasks: Vec<String>,
    /// Take a set's own names of its labels only. Otherwise a finding is found by the name that another set gives it, such as
    /// "Pleural Effusion" for NIH's Effusion, which is said.
    #[arg(long)]
    pub(crate) exact_task: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyArguments,
    /// Score single images instead of studies (the score of a study is the highest of its images).
    #[arg(long)]
    pub(crate) per_image: bool,
}

/// `--policy`.
#[derive(Debug, Clone, Args)]
pub(crate) struct PolicyArguments {
    /// How to treat uncertain and unmentioned labels and which views to use, such as
    /// uncertain=ignore,not-mentioned=negative,views=all.
    #[arg(long, default_value_t)]
    pub(crate) policy: LabelPolicy,
}
