//! Data of an evaluation: rows of images, labelled rows, parts that share no patient, label draws, and the record of the
//! images that weights were trained on.

mod draws;
mod labelled;
mod labels;
mod leaks;
mod lineage;
mod listings;
mod origin;
mod parts;
mod places;
mod read_as;
mod reading;
mod rows;
mod scans;
mod shares;
mod sources;
mod synthetic;

pub use draws::{DrawRule, LabelDraw};
pub(crate) use draws::{Draws, fewer_folds, label_draws};
pub use labelled::Labelled;
pub(crate) use labelled::{admitted, patient_source, recorded, score_row};
pub use labels::Labels;
pub(crate) use labels::folder_name;
pub(crate) use leaks::leak_free;
pub use lineage::{Lineage, Pretraining, Seen};
pub(crate) use lineage::{RECORD, SCORES, lost_record};
pub(crate) use listings::Listings;
pub use origin::Origin;
pub use parts::Parts;
pub use read_as::ReadAs;
pub(crate) use reading::MOST_WORKERS;
pub use reading::Reading;
pub use rows::Rows;
pub(crate) use rows::{Keep, open_cache, share_of, without};
pub use scans::scan_store;
pub use sources::{Sources, ValidFrom};
pub(crate) use synthetic::{AMONG_DRAWN, DRAWN};
