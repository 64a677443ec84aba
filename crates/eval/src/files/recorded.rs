//! How the labels of a table become targets.

use ::tables::Label;

/// What labels become that a table records as uncertain (-1) or not at all, as the label policy of an evaluation says: 1, 0
/// or NaN (masked). The default is that of the paper: uncertain labels are masked, a finding that is not mentioned is
/// negative.
///
/// Columns named `label_<task>` hold targets already: there a blank cell is masked whatever the policy.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedLabels {
    /// The target of an uncertain label.
    pub uncertain: f64,
    /// The target of a label that is not mentioned.
    pub not_mentioned: f64,
    /// The name of the policy, for the stamp.
    pub policy: String,
}

impl Default for RecordedLabels {
    fn default() -> Self {
        let policy = "uncertain=ignore,not-mentioned=negative,views=all".to_owned();
        Self { uncertain: f64::NAN, not_mentioned: 0.0, policy }
    }
}

impl RecordedLabels {
    /// 0, 1 or NaN.
    pub(crate) fn target(&self, label: Label) -> f64 {
        match label {
            Label::Positive => 1.0,
            Label::Negative => 0.0,
            Label::Uncertain => self.uncertain,
            Label::NotMentioned => self.not_mentioned,
        }
    }
}
