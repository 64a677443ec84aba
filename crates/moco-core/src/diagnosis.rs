//! What can be wrong with a run.

use serde::{Deserialize, Serialize};

use crate::Error;

/// A problem of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Diagnosis {
    /// Queries find their keys no better than by guessing, although embeddings differ.
    StuckAtChance,
    /// All embeddings are (nearly) the same.
    Collapsed,
    /// Almost every query finds its key.
    TaskSolved,
    /// Keys are told apart by their age instead of their image.
    AgeShortcut,
    /// The queue holds older keys of the query's own image.
    QueueLargerThanData,
    /// The key encoder ends near its initial weights.
    KeysHardlyMove,
    /// Batch norm has too few images for its statistics.
    GroupsTooSmall,
    /// The run ends before it can have learned something.
    TooFewSteps,
    /// The loss or the gradient was NaN or infinite.
    NonFinite,
}

impl Diagnosis {
    /// The problem in words.
    pub fn cause(self) -> &'static str {
        match self {
            Self::StuckAtChance => "query and key of an image are matched no better than by chance",
            Self::Collapsed => "all images get nearly the same embedding",
            Self::TaskSolved => {
                "every key is found at once: the two views differ too little, or the batch leaks the answer"
            }
            Self::AgeShortcut => {
                "the positive is told apart by its age, not by its image: it is the newest key, and the embeddings drift"
            }
            Self::QueueLargerThanData => {
                "the queue is long for this set: older keys of the query's own image count as negatives"
            }
            Self::KeysHardlyMove => "the key encoder hardly leaves its initial weights",
            Self::GroupsTooSmall => "batch norm takes its statistics from too few images",
            Self::TooFewSteps => "the run is too short to learn from",
            Self::NonFinite => "the loss or the gradient is not finite",
        }
    }

    /// Advice against it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::StuckAtChance => {
                "check with a contact sheet that both views show the same image; weaken the augmentation; raise the learning rate or start from pretrained weights"
            }
            Self::Collapsed => {
                "look for blank or identical images; lower the learning rate and the weight decay, add warm-up; raise the temperature"
            }
            Self::TaskSolved => {
                "strengthen the augmentation (crop, rotation, contrast), lengthen the queue; with batch norm on one device set groups to 2 or more"
            }
            Self::AgeShortcut => {
                "give it negatives of its own age (batch_negatives = true) and subtract the drift (head_norm = true); a shorter queue (queue_size, --moco-k) and a lower learning rate help too"
            }
            Self::QueueLargerThanData => {
                "set the length of the queue (queue_size, --moco-k) to a quarter of the number of images or less"
            }
            Self::KeysHardlyMove => {
                "lower the momentum (momentum, --moco-m) so that its time constant 1 / (1 - m) is a tenth of the steps, or train longer"
            }
            Self::GroupsTooSmall => "fewer groups (groups), or a larger batch (batch_size)",
            Self::TooFewSteps => "more epochs (epochs), or a smaller batch",
            Self::NonFinite => {
                "lower the learning rate, add warm-up or clip_norm, raise a temperature far below 0.1 (temperature, --moco-t), and look for broken images; resume from the last checkpoint"
            }
        }
    }

    /// The diagnosis of an error, if there is one.
    pub fn of(error: &Error) -> Option<Self> {
        matches!(error, Error::NonFinite { .. }).then_some(Self::NonFinite)
    }
}

impl std::fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.cause(), self.remedy())
    }
}
