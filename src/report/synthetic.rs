//! Whether the images of a run are radiographs, or were drawn by `moco-cxr synth`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::files::text_of;

/// The stamp at the head of the page, HTML.
pub(super) const STAMP: &str = "<p class=\"stamp\"><b>Synthetic data</b> Images of this run were drawn by moco-cxr synth. They \
                                are not radiographs, and nothing on this page says anything about patients.</p>";

/// Whether a run or its evaluations recorded drawn images among those that their weights were trained on.
pub(super) fn is_recorded(run: &Path, eval: &[PathBuf]) -> bool {
    let drawn = |folder: &Path| {
        let text = text_of(&folder.join("run.json"))?;
        let record: Value = serde_json::from_str(&text).ok()?;
        let seen = record.get("trained_on")?.get("seen")?.as_array()?;
        seen.iter().any(|images| images["synthetic"] == true).then_some(())
    };
    std::iter::once(run).chain(eval.iter().map(PathBuf::as_path)).any(|folder| drawn(folder).is_some())
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
        assert!(!is_recorded(&run, &eval), "no record");
        for text in ["{", "[]", "{\"trained_on\": {\"seen\": [{\"images\": 3}]}}"] {
            write(&run, text);
            assert!(!is_recorded(&run, &eval), "{text}");
        }
        write(&eval[0], "{\"trained_on\": {\"seen\": [{\"images\": 3}, {\"synthetic\": true}]}}");
        assert!(is_recorded(&run, &eval));
        assert!(!is_recorded(&run, &[]));
    }
}
