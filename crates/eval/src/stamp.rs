//! The conditions under which results were obtained. Results with different conditions are not compared.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Conditions of a result; `None` where unknown, as for files of other tools.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Stamp {
    /// How uncertain and unmentioned labels are treated, and which views are used.
    pub label_policy: Option<String>,
    /// Rows used for training, selection and testing, as a name or a hash.
    pub split: Option<String>,
    /// Protocol of training and evaluation: `faithful`, `standard`, ...
    pub protocol: Option<String>,
    /// Kind of rows: `images` or `studies`.
    pub rows: Option<String>,
    /// Whether the patients are known, and if not, in which parts. Without them only equal images can reveal a leak,
    /// and an interval counts every image as a patient. A remark that does not prevent a comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patients: Option<String>,
    /// Whether the pretraining images were checked against the test images: `checked`, `not checked`, or `none` without
    /// pretraining images. A remark that does not prevent a comparison: networks of different origin may be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretraining: Option<String>,
}

impl Stamp {
    /// A stamp with the three conditions that every result of this tool has. Set `rows` too if images were folded to
    /// studies.
    pub fn new(label_policy: impl Into<String>, split: impl Into<String>, protocol: impl Into<String>) -> Self {
        Self {
            label_policy: Some(label_policy.into()),
            split: Some(split.into()),
            protocol: Some(protocol.into()),
            ..Self::default()
        }
    }

    /// The conditions that are known for both and differ, as `field: "a" and "b"`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        self.fields()
            .into_iter()
            .zip(other.fields())
            .filter_map(|((name, mine), (_, theirs))| {
                let (mine, theirs) = (mine.as_ref()?, theirs.as_ref()?);
                (mine != theirs).then(|| format!("{name}: {mine:?} and {theirs:?}"))
            })
            .collect()
    }

    /// The conditions that are unknown for at least one of the two and were therefore not compared. Tell the user.
    pub fn unchecked(&self, other: &Self) -> Vec<&'static str> {
        let pairs = self.fields().into_iter().zip(other.fields());
        pairs.filter(|((_, mine), (_, theirs))| mine.is_none() || theirs.is_none()).map(|((name, _), _)| name).collect()
    }

    /// The stamp of a result computed from both.
    ///
    /// # Errors
    /// [`Error::StampMismatch`] with every difference.
    pub fn merged(&self, other: &Self) -> Result<Self> {
        let differences = self.differences(other);
        if !differences.is_empty() {
            return Err(Error::StampMismatch { differences });
        }
        let either = |mine: &Option<String>, theirs: &Option<String>| mine.clone().or_else(|| theirs.clone());
        Ok(Self {
            label_policy: either(&self.label_policy, &other.label_policy),
            split: either(&self.split, &other.split),
            protocol: either(&self.protocol, &other.protocol),
            rows: either(&self.rows, &other.rows),
            patients: both(&self.patients, &other.patients),
            pretraining: both(&self.pretraining, &other.pretraining),
        })
    }

    /// The fields that are not conditions.
    pub(crate) fn remarks(&self) -> [&Option<String>; 2] {
        [&self.patients, &self.pretraining]
    }

    pub(crate) fn fields(&self) -> [(&'static str, &Option<String>); 4] {
        [
            ("label policy", &self.label_policy),
            ("split", &self.split),
            ("protocol", &self.protocol),
            ("rows", &self.rows),
        ]
    }
}

/// The remark on a result computed from two: theirs if they agree, otherwise both.
fn both(mine: &Option<String>, theirs: &Option<String>) -> Option<String> {
    let text = |remark: &Option<String>| remark.clone().unwrap_or_else(|| "not known".to_owned());
    if mine == theirs { mine.clone() } else { Some(format!("{} and {}", text(mine), text(theirs))) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_difference_is_shown_and_unknown_conditions_are_listed() {
        let ours = Stamp::new("ignore", "official", "faithful");
        let theirs = Stamp { split: None, ..Stamp::new("ones", "official", "standard") };
        let message = ours.merged(&theirs).unwrap_err().to_string();
        assert!(message.contains(r#"label policy: "ignore" and "ones""#), "{message}");
        assert!(message.contains(r#"protocol: "faithful" and "standard""#), "{message}");
        assert_eq!(ours.unchecked(&theirs), ["split", "rows"]);
    }

    #[test]
    fn remarks_are_kept_of_both_and_forbid_nothing() {
        let of = |pretraining: &str| Stamp {
            patients: Some("known".into()),
            pretraining: Some(pretraining.into()),
            ..Stamp::new("ignore", "official", "standard")
        };
        let merged = of("checked").merged(&of("not checked")).unwrap();
        assert_eq!(merged.pretraining.as_deref(), Some("checked and not checked"));
        assert_eq!(merged.patients.as_deref(), Some("known"));
        assert_eq!(of("none").unchecked(&of("checked")), ["rows"]);
        let foreign = of("checked").merged(&Stamp::default()).unwrap();
        assert_eq!(foreign.pretraining.as_deref(), Some("checked and not known"));
        assert_eq!(Stamp::default().merged(&Stamp::default()).unwrap().patients, None);
    }
}
