//! Whether the images of a run are radiographs, or were drawn by `moco-cxr synth`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{data::AMONG_DRAWN, files::text_of};

/// Which images of a run and its evaluations were drawn, in the order of what weighs more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Drawn {
    /// None, as far as known.
    Nothing,
    /// Some of those that the weights were trained on before: the results are not about them.
    Weights,
    /// Those of the run itself or of an evaluation.
    Images,
}

impl Drawn {
    /// What a run and its evaluations recorded.
    pub(super) fn recorded(run: &Path, eval: &[PathBuf]) -> Self {
        let folders = std::iter::once(run).chain(eval.iter().map(PathBuf::as_path));
        folders.map(|folder| Self::of(folder).unwrap_or(Self::Nothing)).max().unwrap_or(Self::Nothing)
    }

    /// What the record in a folder says.
    fn of(folder: &Path) -> Option<Self> {
        let record: Value = serde_json::from_str(&text_of(&folder.join("run.json"))?).ok()?;
        let seen = record.get("trained_on").and_then(|lineage| lineage.get("seen")?.as_array());
        let among = seen.is_some_and(|seen| seen.iter().any(|images| images["synthetic"] == true));
        Some(match (record.get("synthetic").and_then(Value::as_bool), among) {
            // A record that does not tell the two apart may be of either.
            (Some(true), _) | (None, true) => Self::Images,
            (Some(false), true) => Self::Weights,
            (_, false) => Self::Nothing,
        })
    }

    /// What stands before the title of the page.
    pub(super) fn before_title(self) -> &'static str {
        if self == Self::Images { "Synthetic data: " } else { "" }
    }

    /// The stamp at the head of the page, HTML.
    pub(super) fn stamp(self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Weights => format!("<p class=\"stamp\">{AMONG_DRAWN}</p>"),
            Self::Images => {
                "<p class=\"stamp\"><b>Synthetic data</b> Images of this run were drawn by moco-cxr synth. They \
                             are not radiographs, and nothing on this page says anything about patients.</p>"
                    .to_owned()
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn drawn_images_are_known_from_the_records_of_run_and_evaluations() {
        let folder = tempfile::tempdir().unwrap();
        let (run, eval) = (folder.path().to_owned(), vec![folder.path().join("eval")]);
        fs::create_dir(&eval[0]).unwrap();
        let write = |folder: &Path, text: &str| fs::write(folder.join("run.json"), text).unwrap();
        assert_eq!(Drawn::recorded(&run, &eval), Drawn::Nothing, "no record");
        for text in ["{", "[]", "{\"trained_on\": {\"seen\": [{\"images\": 3}]}}", "{\"synthetic\": false}"] {
            write(&run, text);
            assert_eq!(Drawn::recorded(&run, &eval), Drawn::Nothing, "{text}");
        }
        let seen = "\"trained_on\": {\"seen\": [{\"images\": 3}, {\"synthetic\": true}]}";
        write(&eval[0], &format!("{{{seen}}}"));
        assert_eq!(Drawn::recorded(&run, &eval), Drawn::Images, "of a version that did not say which");
        assert_eq!(Drawn::recorded(&run, &[]), Drawn::Nothing);
        write(&eval[0], &format!("{{{seen}, \"synthetic\": false}}"));
        assert_eq!(Drawn::recorded(&run, &eval), Drawn::Weights);
        write(&run, &format!("{{{seen}, \"synthetic\": true}}"));
        assert_eq!(Drawn::recorded(&run, &eval), Drawn::Images);
    }

    #[test]
    fn the_title_is_that_of_drawn_images_only_if_the_results_are() {
        assert_eq!((Drawn::Nothing.before_title(), &*Drawn::Nothing.stamp()), ("", ""));
        assert_eq!(Drawn::Weights.before_title(), "");
        assert!(Drawn::Weights.stamp().contains("are among those that the weights were trained on"));
        assert_eq!(Drawn::Images.before_title(), "Synthetic data: ");
        assert!(Drawn::Images.stamp().contains("nothing on this page says anything about patients"));
    }
}
