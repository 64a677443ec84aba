//! The method of a study, as text that decides whether two results may be compared.

use std::fmt;

use eval::{FewLabels, Knn, Trained};

use crate::study::{Choosing, FineTuneSettings, Statistics};

/// How scores were computed. Its text is [`eval::Stamp::protocol`]; results with different texts are not compared.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Method<'a> {
    /// Heads fitted to convergence on features in eval mode.
    Linear {
        /// Whether the penalty was chosen on validation rows; otherwise by cross-validation within the training rows.
        chosen_on_valid: bool,
        /// The running statistics of the features.
        statistics: Statistics,
    },
    /// Nearest neighbours.
    Neighbours {
        /// Their number and weight.
        neighbours: Knn,
        /// The running statistics of the features.
        statistics: Statistics,
    },
    /// A network, or only its head, trained by gradient steps.
    Trained {
        /// How it was trained.
        settings: &'a FineTuneSettings,
        /// Images of the validation part.
        valid: usize,
    },
}

impl fmt::Display for Method<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = |statistics: &Statistics| match statistics {
            Statistics::Training => "running statistics of training images",
            Statistics::Own => "the weights' running statistics",
        };
        match self {
            Self::Linear { chosen_on_valid, statistics } => {
                let FewLabels { below, l2 } = FewLabels::default();
                write!(f, "linear, standard: eval mode, {}, ", running(statistics))?;
                match chosen_on_valid {
                    true => f.write_str("L2 chosen on valid"),
                    false => write!(f, "nested choice of L2 ({l2} below {below} labels)"),
                }
            }
            Self::Neighbours { neighbours: Knn { k, temperature }, statistics } => {
                write!(f, "nearest neighbours: k {k}, temperature {temperature}, {}", running(statistics))
            }
            Self::Trained { settings, valid } => {
                let FineTuneSettings { epochs, lr, batch_size, checkpoint, .. } = settings;
                let what = match (settings.trained, settings.from_linear) {
                    (Trained::Head, _) => "linear, faithful: head by Adam, batch norm in train mode",
                    (Trained::All, false) => "fine-tuned end to end",
                    (Trained::All, true) => "linear probe, then fine-tuned end to end",
                };
                let epochs = epochs.map_or("the paper's".to_owned(), |epochs| epochs.to_string());
                write!(f, "{what}; lr {lr:e}, batches of {batch_size}, epochs {epochs}, checkpoint {checkpoint}")?;
                // Parts that are never cut have the words of earlier versions, whose results are the same.
                if *valid > Choosing::AT_LEAST { write!(f, ", {}", Choosing::RULE) } else { Ok(()) }
            }
        }
    }
}
