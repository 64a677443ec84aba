//! Images that `moco-cxr synth` drew: what was made of them must not be taken for something about patients.

use std::path::Path;

use cxr_data::synth::is_drawn;

use crate::data::{Lineage, Parts, Sources};

/// The words for such images wherever they are marked.
pub(crate) const DRAWN: &str = "Synthetic images (drawn by moco-cxr synth, not radiographs)";

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
}
