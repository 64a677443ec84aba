//! Images that `moco-cxr synth` drew: what was made of them must not be taken for something about patients.

use std::path::Path;

use cxr_data::synth::is_drawn;

use crate::data::{Lineage, Parts, Sources};

/// The words for such images wherever they are marked.
pub(crate) const DRAWN: &str = "Synthetic images (drawn by moco-cxr synth, not radiographs)";

/// The words where the weights alone were trained on such images.
pub(crate) const AMONG_DRAWN: &str =
    "Synthetic images (drawn by moco-cxr synth, not radiographs) are among those that the weights were trained on.";

impl Sources {
    /// Whether some of the images of a folder of these sources were drawn.
    pub(crate) fn are_drawn(&self, dir: &Path) -> bool {
        let more = self.read.more.iter().filter(|_| dir == self.train);
        is_drawn(dir) || more.map(AsRef::as_ref).any(is_drawn)
    }
}

impl Parts {
    /// Whether some of the images were drawn.
    pub(crate) fn are_drawn(&self) -> bool {
        self.named().any(|(.., rows)| rows.origin().synthetic)
    }
}

impl Lineage {
    /// Whether some of the images were drawn.
    pub(crate) fn has_drawn(&self) -> bool {
        self.seen.iter().any(|seen| seen.images.synthetic)
    }

    /// What a model card must say of drawn images.
    pub(crate) fn remark(&self) -> Option<String> {
        let nothing_else = self.complete && self.seen.iter().all(|seen| seen.images.synthetic);
        match (self.has_drawn(), nothing_else) {
            (false, _) => None,
            (true, true) => Some(format!("{DRAWN}: these weights know nothing of patients.")),
            (true, false) => Some(AMONG_DRAWN.to_owned()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn weights_know_nothing_of_patients_only_if_everything_that_they_saw_was_drawn() {
        let seen = |synthetic: bool| {
            serde_json::json!({
                "role": "pretrain", "dir": "", "dataset": "chexpert", "part": "train", "on_bad": "fail", "images": 3,
                "patients_known": true, "hash": synthetic.to_string(), "synthetic": synthetic,
            })
        };
        let remark = |drawn: &[bool], complete: bool| {
            let seen: Vec<_> = drawn.iter().map(|&drawn| seen(drawn)).collect();
            serde_json::from_value::<Lineage>(serde_json::json!({ "seen": seen, "complete": complete }))
                .unwrap()
                .remark()
        };
        assert!(AMONG_DRAWN.starts_with(DRAWN));
        assert_eq!((remark(&[], true), remark(&[], false), remark(&[false], true)), (None, None, None));
        assert!(remark(&[true, true], true).unwrap().ends_with("these weights know nothing of patients."));
        for (drawn, complete) in [(&[true, false][..], true), (&[false, true], true), (&[true], false)] {
            assert_eq!(remark(drawn, complete).as_deref(), Some(AMONG_DRAWN), "{drawn:?}, {complete}");
        }
    }
}
