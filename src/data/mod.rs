//! From a folder to rows, labelled rows, parts that share no patient, and label draws.

mod draws;
mod images;
mod labelled;
mod lineage;
mod parts;

pub(crate) use draws::fewer_folds;
pub use draws::{DrawRule, LabelDraw, label_draws, plain_draws};
pub use images::build_cache;
pub(crate) use images::{TrainImages, load};
pub use labelled::{Labelled, adapt_statistics};
pub(crate) use labelled::{features, loader, one_view, patient_source, same_rows, score_row};
pub use lineage::{Lineage, Origin, Pretraining, Seen};
pub use parts::{LinearData, LoadedPart, Parts, ValidFrom};
pub(crate) use parts::{leak_free, shares};
