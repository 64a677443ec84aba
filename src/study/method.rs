//! The method of a study, as text that decides whether two results may be compared.

use std::fmt;

use eval::{Knn, Trained};

use crate::study::FineTuneSettings;

/// How scores were computed. Its text is [`eval::Stamp::protocol`]; results with different texts are not compared.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Method<'a> {
    /// Heads fitted to convergence on features in eval mode.
    Linear {
        /// Whether the penalty was chosen on validation rows; otherwise by cross-validation within the training rows.
        chosen_on_valid: bool,
    },
    /// Nearest neighbours.
    Neighbours(Knn),
    /// A network, or only its head, trained by gradient steps.
    Trained(&'a FineTuneSettings),
}

impl fmt::Display for Method<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linear { chosen_on_valid: true } => f.write_str("linear, standard: eval mode, L2 chosen on valid"),
            Self::Linear { chosen_on_valid: false } => f.write_str("linear, standard: eval mode, nested choice of L2"),
            Self::Neighbours(Knn { k, temperature }) => {
                write!(f, "nearest neighbours: k {k}, temperature {temperature}")
            }
            Self::Trained(settings) => {
                let FineTuneSettings { epochs, lr, batch_size, checkpoint, .. } = settings;
                let what = match (settings.trained, settings.from_linear) {
                    (Trained::Head, _) => "linear, faithful: head by Adam, batch norm in train mode",
                    (Trained::All, false) => "fine-tuned end to end",
                    (Trained::All, true) => "linear probe, then fine-tuned end to end",
                };
                let epochs = epochs.map_or("the paper's".to_owned(), |epochs| epochs.to_string());
                write!(f, "{what}; lr {lr:e}, batches of {batch_size}, epochs {epochs}, checkpoint {checkpoint}")
            }
        }
    }
}
