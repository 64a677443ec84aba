//! The quickstart at a small size: it ends in a table and a report, can be stopped, and touches nothing of the user's. CI runs
//! it as it is.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::{cell::RefCell, fs};

use moco_cxr::{
    DeviceChoice, Error, Quickstart, TrainingWatch, Watch,
    cxr_data::synth::SynthConfig,
    moco_core::{Observer, Request, StepMetrics},
};
use support::{run, scratch, succeed};

/// Seconds instead of minutes.
fn small() -> Quickstart {
    let mut quickstart = Quickstart::default();
    let set = SynthConfig { train_patients: 60, valid_patients: 0, test_patients: 40, size: 32, ..Default::default() };
    (quickstart.set, quickstart.image_size, quickstart.epochs) = (set, 32, 1);
    (quickstart.fractions, quickstart.draws, quickstart.device) = (vec![0.5, 1.0], 2, DeviceChoice::CPU);
    quickstart
}

/// Keeps what was said, and stops at the first step if it is to.
#[derive(Default)]
struct Heard {
    lines: RefCell<Vec<String>>,
    stops: bool,
}

impl Watch for Heard {
    fn line(&self, text: &str) {
        self.lines.borrow_mut().push(text.to_owned());
    }

    fn note(&self, text: &str) {
        self.lines.borrow_mut().push(text.to_owned());
    }
}

impl Observer for Heard {
    fn on_step(&mut self, _: &StepMetrics) -> Request {
        if self.stops { Request::Stop } else { Request::Continue }
    }
}

impl TrainingWatch for Heard {}

#[test]
fn it_ends_in_a_table_and_a_report() {
    let out = scratch("quickstart");
    let mut heard = Heard::default();
    let found = small().run(&out, &mut heard).unwrap().unwrap();
    let table = found.results.outcome().table().to_markdown();
    assert!(table.contains("| 50 %") && table.contains("| 100 %") && table.contains("random network"), "{table}");
    let page = fs::read_to_string(&found.report).unwrap();
    assert!(page.contains("<h1>Quickstart, seed 0</h1>"));
    assert!(page.contains("<title>Synthetic data: Quickstart, seed 0 \u{b7} resnet18, "), "{}", &page[..1000]);
    assert!(page.contains("class=\"stamp\"") && page.contains("nothing on this page says anything about patients"));
    // Made again, it has the name of the folder; and what is passed on says it, too.
    let again = out.join("again.html");
    succeed(arguments!["report", found.run, "--replicates", "50", "--out", again, "--quiet"]);
    let again = fs::read_to_string(again).unwrap();
    assert!(again.contains("<h1>quickstart/run</h1>") && again.contains("class=\"stamp\""), "{}", &again[..1000]);
    for (card, says) in [("export", "know nothing of patients"), ("eval/export", "say nothing about patients")] {
        let card = fs::read_to_string(found.run.join(card).join("README.md")).unwrap();
        assert!(card.contains("Synthetic images (drawn by moco-cxr synth") && card.contains(says), "{card}");
    }
    let (exported, imported) = (out.join("exported"), out.join("imported"));
    succeed(arguments!["export", found.run, "--out", exported, "--quiet"]);
    succeed(arguments!["import", exported.join("model.safetensors"), "--out", imported, "--quiet"]);
    for folder in [exported, imported] {
        let card = fs::read_to_string(folder.join("README.md")).unwrap();
        assert!(card.contains("Synthetic images (drawn by moco-cxr synth, not radiographs)"), "{card}");
    }
    for section in ["id=\"views\"", "id=\"fractions\""] {
        assert!(page.contains(section), "{section}");
    }
    assert!(found.run.join("eval/export").is_dir(), "for explain and predict");
    let lines = heard.lines.borrow();
    let stages: Vec<&String> = lines.iter().filter(|line| line.contains(" of 3: ")).collect();
    assert_eq!(stages.len(), 3, "{stages:?}");
    for network in ["trained", "random"] {
        let said = format!("running statistics of the {network} network are estimated on ");
        assert_eq!(lines.iter().filter(|line| line.starts_with(&said)).count(), 1, "{lines:#?}");
    }
    // What a person sees first must not speak of files that are none of their business.
    assert!(!lines.iter().any(|line| line.contains("synth.json") || line.contains("not used")), "{lines:#?}");

    // The same folder again is refused, and left as it is.
    let again = small().run(&out, &mut ()).unwrap_err();
    assert!(matches!(again, Error::NotEmpty { .. }), "{again}");
    let ran = run(arguments!["quickstart", "--out", out]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("--out DIR for another"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(&found.report).unwrap(), page);
}

#[test]
fn a_pretraining_that_is_stopped_has_no_result() {
    let out = scratch("quickstart-stopped");
    let mut heard = Heard { stops: true, ..Heard::default() };
    assert!(small().run(&out, &mut heard).unwrap().is_none());
    assert!(out.join("run/checkpoints").is_dir() && !out.join("run/eval").exists());
}
