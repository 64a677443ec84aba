//! One vocabulary of findings: the names by which the public sets call the same thing, so that a model for one set is
//! evaluated on another.

/// Names of one finding, in lower case without spaces and punctuation. Only what is the same finding stands in one line:
/// `Nodule/Mass` is not `Nodule`, and `Normal` is not `No Finding`, which allows support devices.
const SYNONYMS: [&[&str]; 18] = [
    &["pleuraleffusion", "effusion"],
    &["lungopacity", "airspaceopacity"],
    &["nofinding", "nofindings"],
    &["edema", "oedema", "pulmonaryedema", "pulmonaryoedema", "lungedema"],
    &["pulmonaryfibrosis", "fibrosis"],
    &["pleuralthickening", "thickenedpleura"],
    &["interstitiallungdisease", "ild"],
    &["infiltration", "infiltrate", "infiltrates"],
    &["tuberculosis", "tb"],
    &["covid19", "covid"],
    &["supportdevices", "supportdevice"],
    &["consolidation", "consolidations"],
    &["fracture", "fractures"],
    &["nodule", "nodules"],
    &["mass", "masses"],
    &["otherdisease", "otherdiseases"],
    &["enlargedcardiomediastinum", "enlargedcardiomediastinalsilhouette"],
    &["atelectasis", "atelectases"],
];

/// Whether two names, in lower case without spaces and punctuation, are of the same finding.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one == other || SYNONYMS.iter().any(|names| names.contains(&one) && names.contains(&other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_stands_for_two_findings() {
        for (at, names) in SYNONYMS.iter().enumerate() {
            for name in *names {
                assert!(!SYNONYMS[..at].iter().any(|others| others.contains(name)), "{name}");
                assert_eq!(*name, crate::loaders::plain(name));
            }
        }
        assert!(same("effusion", "pleuraleffusion") && same("mass", "mass"));
        assert!(!same("nodulemass", "nodule") && !same("normal", "nofinding"));
    }
}
