//! Views and directions of the beam.

use serde::{Deserialize, Serialize};

use crate::is_missing;

/// View of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum View {
    /// AP or PA.
    Frontal,
    /// From the side.
    Lateral,
}

/// Direction of the beam, as in CheXpert's column `AP/PA`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Projection {
    /// Anteroposterior, usually of a patient in bed.
    Ap,
    /// Posteroanterior, of a standing patient.
    Pa,
    /// Left lateral (16 rows of CheXpert).
    Ll,
    /// Right lateral (one row of CheXpert).
    Rl,
}

/// View and projection, as far as a cell of either kind says them: `PA`, `AP Supine`, `AP_horizontal`, `LATERAL`, `LL`, `L`,
/// `Frontal`. A view that is neither frontal nor lateral (`SWIMMERS`, `LAO`) is none of both.
#[must_use]
pub fn projection(cell: &str) -> (Option<View>, Option<Projection>) {
    if is_missing(cell) {
        return (None, None);
    }
    let upper = cell.trim().to_uppercase();
    let words: Vec<&str> = upper.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let (frontal, lateral) = (Some(View::Frontal), Some(View::Lateral));
    match words.first().copied().unwrap_or_default() {
        "AP" | "ANTEROPOSTERIOR" => (frontal, Some(Projection::Ap)),
        "PA" | "POSTEROANTERIOR" => (frontal, Some(Projection::Pa)),
        "LL" | "LEFTLATERAL" => (lateral, Some(Projection::Ll)),
        "RL" | "RIGHTLATERAL" => (lateral, Some(Projection::Rl)),
        "FRONTAL" => (frontal, None),
        "L" | "LAT" if words.len() == 1 => (lateral, None),
        "LEFT" | "L" | "LT" if words.get(1).is_some_and(|word| word.starts_with("LAT")) => {
            (lateral, Some(Projection::Ll))
        }
        "RIGHT" | "R" | "RT" if words.get(1).is_some_and(|word| word.starts_with("LAT")) => {
            (lateral, Some(Projection::Rl))
        }
        _ if words.contains(&"LATERAL") => (lateral, None),
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spellings_of_the_public_sets() {
        let (frontal, lateral) = (Some(View::Frontal), Some(View::Lateral));
        for (cell, expected) in [
            ("PA", (frontal, Some(Projection::Pa))),
            ("AP Supine", (frontal, Some(Projection::Ap))),
            ("AP_horizontal", (frontal, Some(Projection::Ap))),
            ("POSTEROANTERIOR", (frontal, Some(Projection::Pa))),
            ("Frontal", (frontal, None)),
            ("LATERAL", (lateral, None)),
            ("XTABLE LATERAL", (lateral, None)),
            ("L", (lateral, None)),
            ("LL", (lateral, Some(Projection::Ll))),
            ("RL", (lateral, Some(Projection::Rl))),
            ("left lateral", (lateral, Some(Projection::Ll))),
            ("", (None, None)),
            ("LAO", (None, None)),
            ("COSTAL", (None, None)),
            ("SWIMMERS", (None, None)),
        ] {
            assert_eq!(projection(cell), expected, "{cell}");
        }
    }
}
