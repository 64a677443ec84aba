//! The label policies: every state under every choice, counts that add up, views, stamps.
#![allow(clippy::unwrap_used)]

use cxr_data::{
    Dataset, Label, LabelCounts, LabelPolicy, Manifest, NotMentioned, Projection, Record, TargetCounts, Uncertain,
    View, Views,
};
use proptest::prelude::*;

const STATES: [Label; 4] = [Label::Positive, Label::Negative, Label::Uncertain, Label::NotMentioned];

fn record(labels: Vec<Label>, view: Option<View>, projection: Option<Projection>) -> Record {
    Record {
        path: "a.jpg".into(),
        patient: "p".into(),
        study: "p/s".into(),
        view,
        projection,
        sex: None,
        age: None,
        labels,
    }
}

fn manifest(records: Vec<Record>) -> Manifest {
    let tasks = (0..records.first().map_or(0, |record| record.labels.len())).map(|task| format!("T{task}")).collect();
    let dataset = Dataset::Folder;
    Manifest { root: "/".into(), dataset, tasks, records, patients_known: true, ..Manifest::default() }
}

#[test]
fn every_state_under_every_choice() {
    use NotMentioned as N;
    use Uncertain as U;
    let nan = f32::NAN;
    for (uncertain, not_mentioned, expected) in [
        (U::Ignore, N::Negative, [1.0, 0.0, nan, 0.0]),
        (U::Ignore, N::Ignore, [1.0, 0.0, nan, nan]),
        (U::Ones, N::Negative, [1.0, 0.0, 1.0, 0.0]),
        (U::Ones, N::Ignore, [1.0, 0.0, 1.0, nan]),
        (U::Zeros, N::Negative, [1.0, 0.0, 0.0, 0.0]),
        (U::Zeros, N::Ignore, [1.0, 0.0, 0.0, nan]),
    ] {
        let policy = LabelPolicy { uncertain, not_mentioned, views: Views::All };
        let targets = STATES.map(|state| policy.target(state));
        assert_eq!(targets.map(f32::to_bits), expected.map(f32::to_bits), "{policy}");
    }
    // The default is the paper's (U-Ignore, blanks negative, every view).
    assert_eq!(LabelPolicy::default().to_string(), "uncertain=ignore,not-mentioned=negative,views=all");
}

#[test]
fn views_are_filtered_and_the_rest_counted() {
    let of = |view, projection| record(vec![Label::Positive], view, projection);
    let set = manifest(vec![
        of(Some(View::Frontal), Some(Projection::Ap)),
        of(Some(View::Frontal), Some(Projection::Pa)),
        of(Some(View::Lateral), None),
        of(Some(View::Frontal), None),
        of(Some(View::Frontal), Some(Projection::Ll)),
        of(None, None),
    ]);
    for (views, rows, other, unknown) in [
        (Views::All, vec![0, 1, 2, 3, 4, 5], 0, 0),
        (Views::Frontal, vec![0, 1, 3, 4], 1, 1),
        (Views::Lateral, vec![2], 4, 1),
        (Views::Ap, vec![0], 3, 2),
        (Views::Pa, vec![1], 3, 2),
    ] {
        let result = LabelPolicy { views, ..LabelPolicy::default() }.apply(&set, &[0]).unwrap();
        assert_eq!((result.rows.clone(), result.other_view, result.unknown_view), (rows, other, unknown), "{views}");
        assert_eq!(result.targets.dim(), (result.rows.len(), 1));
    }
    let text = LabelPolicy { views: Views::Frontal, ..LabelPolicy::default() }.apply(&set, &[0]).unwrap().to_string();
    assert!(
        text.contains("views=frontal: 4 images") && text.contains("1 of another view, 1 of unknown view"),
        "{text}"
    );
}

#[test]
fn tasks_are_columns_and_a_wrong_one_is_refused() {
    let set = manifest(vec![record(vec![Label::Positive, Label::Negative, Label::Uncertain], None, None)]);
    let result = LabelPolicy::default().apply(&set, &[2, 0]).unwrap();
    assert!(result.targets[[0, 0]].is_nan() && result.targets[[0, 1]] == 1.0);
    assert_eq!(result.counts[1].task, "T0");
    assert!(LabelPolicy::default().apply(&set, &[3]).unwrap_err().to_string().contains("expected one of 0, 1, 2"));
    assert!(set.task_indices(&["T7"]).unwrap_err().to_string().contains("T0, T1, T2"));
}

#[test]
fn a_stamp_reads_back_and_a_wrong_one_says_what_is_allowed() {
    let stamp = "uncertain=zeros,not-mentioned=ignore,views=pa";
    assert_eq!(stamp.parse::<LabelPolicy>().unwrap().to_string(), stamp);
    assert_eq!("".parse::<LabelPolicy>().unwrap(), LabelPolicy::default());
    let error = "uncertain=maybe".parse::<LabelPolicy>().unwrap_err().to_string();
    assert_eq!(error, "unknown choice for uncertain labels \"maybe\"; expected one of ignore, ones, zeros");
    assert!("blank=0".parse::<LabelPolicy>().is_err());
    let json = serde_json::to_string(&stamp.parse::<LabelPolicy>().unwrap()).unwrap();
    assert_eq!(json, r#"{"uncertain":"zeros","not-mentioned":"ignore","views":"pa"}"#);
    assert!(serde_json::from_str::<LabelPolicy>(r#"{"uncertainty":"ones"}"#).is_err(), "unknown keys are refused");
}

proptest! {
    /// Nothing is lost: what is counted before and after adds up to the rows, and the targets are what is counted.
    #[test]
    fn counts_add_up(states in prop::collection::vec((0..4_usize, any::<bool>()), 1..200), choice in 0..6_usize, frontal: bool) {
        let records = states.iter().map(|&(state, lateral)| {
            record(vec![STATES[state]], Some(if lateral { View::Lateral } else { View::Frontal }), None)
        });
        let set = manifest(records.collect());
        let policy = LabelPolicy {
            uncertain: [Uncertain::Ignore, Uncertain::Ones, Uncertain::Zeros][choice % 3],
            not_mentioned: [NotMentioned::Negative, NotMentioned::Ignore][choice / 3],
            views: if frontal { Views::Frontal } else { Views::All },
        };
        let result = policy.apply(&set, &[0]).unwrap();
        prop_assert_eq!(result.rows.len() + result.other_view + result.unknown_view, set.len());
        let LabelCounts { positive, negative, uncertain, not_mentioned } = result.counts[0].before;
        prop_assert_eq!(positive + negative + uncertain + not_mentioned, set.len());
        let TargetCounts { positive, negative, masked } = result.counts[0].after;
        prop_assert_eq!(positive + negative + masked, result.rows.len());
        prop_assert_eq!(result.targets.iter().filter(|target| target.is_nan()).count(), masked);
        prop_assert_eq!(result.targets.iter().filter(|&&target| target == 1.0).count(), positive);
    }
}
