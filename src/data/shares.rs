//! Division of a set without published parts.

use cxr_data::{
    Dataset, Manifest,
    splits::{ShenzhenSplit, patient_split, shenzhen_split},
};

use crate::error::Result;

/// Shares of train, valid and test, as in the paper for Shenzhen.
const SHARES: [f64; 3] = [0.65, 0.15, 0.2];

/// Training, validation and test rows: Shenzhen by the rules of the paper's script, other sets by patient.
pub(crate) fn shares(manifest: &Manifest, seed: u64) -> Result<ShenzhenSplit> {
    if let Some(Ok(split)) = (manifest.dataset == Dataset::Shenzhen).then(|| shenzhen_split(manifest, seed)) {
        return Ok(split);
    }
    let mut parts = patient_split(manifest, &SHARES, seed)?.into_iter();
    let mut next = || parts.next().unwrap_or_default();
    Ok(ShenzhenSplit { train: next(), valid: next(), test: next() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use cxr_data::{Label, Record};

    use super::*;

    /// Two hundred patients with an image each, every second one with tuberculosis.
    pub(crate) fn films(dataset: Dataset) -> Manifest {
        let record = |i: usize| Record {
            path: format!("CXR_png/{i}.png"),
            patient: format!("{i:04}"),
            study: format!("{i:04}/study1"),
            view: None,
            projection: None,
            sex: None,
            age: None,
            labels: vec![if i.is_multiple_of(2) { Label::Positive } else { Label::Negative }],
        };
        Manifest {
            root: "nowhere".into(),
            dataset,
            tasks: vec!["Tuberculosis".into()],
            records: (0..200).map(record).collect(),
            patients_known: true,
            ..Manifest::default()
        }
    }

    #[test]
    fn only_shenzhen_is_split_by_its_rules() {
        let (shenzhen, montgomery) = (films(Dataset::Shenzhen), films(Dataset::Montgomery));
        let by_rule = shenzhen_split(&shenzhen, 0).unwrap();
        assert_eq!(shares(&shenzhen, 0).unwrap(), by_rule);
        let split = shares(&montgomery, 0).unwrap();
        assert_ne!(split, by_rule);
        assert_eq!([&split.train, &split.valid, &split.test].map(Vec::len), [130, 30, 40]);
    }
}
