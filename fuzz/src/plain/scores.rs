//! Files with labels and scores. Two files are divided by a line of `====`: labels, and scores to be joined with them.

use std::hint::black_box;

use eval::{Bootstrap, Evaluation, Predictions, ReadOptions, Stamp, fold_studies, join_ground_truth, read_predictions};

use super::files::{folder, write};
use crate::Outcome;

pub(crate) fn run(bytes: &[u8]) -> Outcome {
    let said = |fault: eval::Error| fault.to_string();
    let folder = folder("scores");
    let (scored, truth) = (folder.join("scores.csv"), folder.join("labels.csv"));
    const BETWEEN: &[u8] = b"====\n";
    let scores = match bytes.windows(BETWEEN.len()).position(|part| part == BETWEEN) {
        Some(at) => {
            write(&truth, &bytes[..at]);
            write(&scored, &bytes[at + BETWEEN.len()..]);
            join_ground_truth(&truth, &scored, "Path", None).map_err(said)?
        }
        None => {
            write(&scored, bytes);
            black_box(Predictions::read_with(std::slice::from_ref(&scored), &ReadOptions::default()).is_ok());
            read_predictions(&scored).map_err(said)?
        }
    };
    black_box(fold_studies(&scores).is_ok());
    // Statistics of a few rows, as many as a file of some kilobytes has.
    if scores.len() * scores.tasks().len() <= 400 {
        let bootstrap = Bootstrap { replicates: 40, ..Bootstrap::default() };
        let evaluation = Evaluation { bootstrap, delong: bytes.len() % 2 == 1, ..Evaluation::default() };
        let results = evaluation.run(&[scores], Stamp::default()).map_err(said)?;
        black_box(results.table().to_markdown());
    }
    Ok(())
}
