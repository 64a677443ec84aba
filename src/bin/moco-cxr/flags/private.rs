//! `--private`.

use clap::Args;

#[derive(Debug, Clone, Args)]
pub(crate) struct PrivateArguments {
    /// Name no folder and no file in what may leave the house (export/ and the report). Scores, logs and run.json, which stay,
    /// keep their names.
    #[arg(long)]
    pub(crate) private: bool,
}
