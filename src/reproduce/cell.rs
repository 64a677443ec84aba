//! A cell of the paper's tables: the models it needs and the paper's number.

use std::fmt;

/// Initial weights of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// MoCo pretraining with the paper's learning rate, 1e-4.
    MoCo,
    /// MoCo pretraining with another learning rate.
    MoCoRate(&'static str),
    /// ImageNet weights.
    ImageNet,
}

/// How a network is trained with labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tuning {
    /// A linear layer on a frozen network.
    Linear,
    /// The whole network.
    EndToEnd,
}

/// A model of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arm {
    /// `resnet18` or `densenet121`.
    pub arch: &'static str,
    /// Initial weights.
    pub init: Init,
    /// Training with labels.
    pub tuning: Tuning,
}

impl Arm {
    /// Name of the initial weights: `resnet18-moco`, `resnet18-moco-lr1e-3`, `densenet121-imagenet`.
    pub fn start(self) -> String {
        match self.init {
            Init::MoCo => format!("{}-moco", self.arch),
            Init::MoCoRate(rate) => format!("{}-moco-lr{rate}", self.arch),
            Init::ImageNet => format!("{}-imagenet", self.arch),
        }
    }

    /// Name of its folder in the folder of results, such as `resnet18-moco-linear`.
    pub fn folder(self) -> String {
        format!("{}-{}", self.start(), self.subcommand())
    }

    /// The subcommand that trains such a model, which is also the name of its results file.
    pub fn subcommand(self) -> &'static str {
        match self.tuning {
            Tuning::Linear => "linear",
            Tuning::EndToEnd => "finetune",
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tuning = match self.tuning {
            Tuning::Linear => "linear",
            Tuning::EndToEnd => "end to end",
        };
        match self.init {
            Init::MoCo => write!(f, "{} MoCo {tuning}", self.arch),
            Init::MoCoRate(rate) => write!(f, "{} MoCo at rate {rate} {tuning}", self.arch),
            Init::ImageNet => write!(f, "{} ImageNet {tuning}", self.arch),
        }
    }
}

/// What a cell measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// AUROC of a model.
    Auroc(Arm),
    /// AUROC of the first model minus that of the second, on the same resamples.
    Improvement(Arm, Arm),
}

impl Quantity {
    /// The models it needs.
    pub fn arms(self) -> Vec<Arm> {
        match self {
            Self::Auroc(arm) => vec![arm],
            Self::Improvement(first, second) => vec![first, second],
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auroc(arm) => write!(f, "{arm}"),
            Self::Improvement(first, second) => write!(f, "{first} minus {second}"),
        }
    }
}

/// A cell of a table with the paper's numbers: the bootstrap mean and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// What is measured.
    pub quantity: Quantity,
    /// The label column.
    pub task: &'static str,
    /// Fraction of the training labels.
    pub fraction: f64,
    /// The paper's number.
    pub value: f64,
    /// Lower limit of the paper's interval.
    pub lower: f64,
    /// Upper limit of the paper's interval.
    pub upper: f64,
}

impl Cell {
    /// Whether a value lies in the paper's interval.
    pub fn contains(&self, value: f64) -> bool {
        (self.lower..=self.upper).contains(&value)
    }

    /// Number of label draws in the paper at this fraction.
    pub fn draws(&self) -> usize {
        match self.fraction {
            1.0 => 1,
            0.0625 => 8,
            0.25 => 4,
            _ => 5,
        }
    }
}
