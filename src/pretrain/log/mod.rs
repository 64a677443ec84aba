//! The logs of a run: `metrics.jsonl` and `tb/` for programs, `train.log` for people.

mod metrics;
mod run_log;
mod speed;
mod tensorboard;
mod train_log;

pub(crate) use metrics::MetricsLog;
pub(crate) use run_log::RunLog;
pub use speed::Speed;
pub use tensorboard::TensorBoard;
pub(crate) use train_log::TrainLog;
