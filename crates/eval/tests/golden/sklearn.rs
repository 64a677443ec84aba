//! `roc_auc_score(labels, scores, sample_weight=weights)` and `average_precision_score(...)` on 1,000 random cases.

use super::{assert_close, inputs};

#[test]
fn auroc_and_auprc_equal_scikit_learn() {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/stats/auroc_auprc.csv"));
    let mut lines = text.lines().skip(2);
    let (mut tied, mut weightless, mut sizes) = (0, 0, Vec::new());
    for k in 0..1000 {
        let (auroc, auprc) = lines.next().unwrap().split_once(',').unwrap();
        let inputs::Case { labels, scores, weights } = inputs::case(k);
        let weights = weights.as_deref();
        // 1e-12: sums of up to 10,000 terms of at most 1 in f64 (measured: 1.5e-15 and 3.5e-15).
        let ours = eval::auroc(&labels, &scores, weights).unwrap();
        assert_close(&format!("AUROC of case {k}"), ours, auroc.parse().unwrap(), 1e-12);
        let ours = eval::auprc(&labels, &scores, weights).unwrap();
        assert_close(&format!("AUPRC of case {k}"), ours, auprc.parse().unwrap(), 1e-12);

        let mut sorted = scores.clone();
        sorted.sort_by(f64::total_cmp);
        tied += usize::from(sorted.windows(2).any(|pair| pair[0] == pair[1]));
        weightless += usize::from(weights.is_some_and(|weights| weights.contains(&0.0)));
        sizes.push(labels.len());
    }
    // What the cases are said to cover.
    assert!(tied > 500 && weightless > 300, "{tied} cases with ties, {weightless} with zero weights");
    assert_eq!((sizes.iter().min(), sizes.iter().max()), (Some(&2), Some(&10_000)));
}
