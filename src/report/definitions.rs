//! What every number of the page means: shown on hover, and listed at its end.

use super::page::escape;

/// Name and definition, in alphabetical order.
const DEFINITIONS: &[(&str, &str)] = &[
    (
        "95 % interval",
        "Percentile interval of a bootstrap that draws patients with all their rows, so that images of one patient are not \
         counted as independent. Ninety-five of a hundred such intervals from new patients would hold the true value.",
    ),
    (
        "alignment",
        "Mean squared distance of query and key of the same image on the unit sphere, 2 − 2·similarity; 0 to 4, lower is \
         better (arXiv:2005.10242).",
    ),
    (
        "AUROC",
        "Area under the ROC curve: the probability that a random positive is scored above a random negative; 0.5 is guessing, \
         1 a perfect ranking.",
    ),
    (
        "Brier score",
        "Mean squared difference of predicted probability and outcome (0 or 1); 0 is perfect, lower is better.",
    ),
    (
        "ECE",
        "Expected calibration error: distance between predicted probability and observed share of positives, averaged over \
         ten bins weighted by their rows; 0 is perfect.",
    ),
    (
        "effective rank",
        "Number of directions in which the newest keys differ, from 1 (all on a line) to the embedding's length; a fall \
         towards 1 is a collapse (RankMe, arXiv:2210.02885).",
    ),
    ("gradient norm", "Length of the gradient over all weights, before clipping."),
    (
        "Grad-CAM",
        "The last feature maps weighted by the mean gradient of a finding's score, negative values cut off \
         (arXiv:1610.02391). It shows what the network used, not where the disease is.",
    ),
    (
        "guessing",
        "Loss of a network that cannot tell the positive from the negatives: ln(1 + keys in the queue), in nats. It grows \
         while the queue fills.",
    ),
    (
        "key deviation",
        "Mean standard deviation of the coordinates of the newest keys: 1/√D when they are spread evenly over the sphere of \
         D dimensions, 0 when all are the same.",
    ),
    (
        "loss",
        "InfoNCE in nats: the negative logarithm of the probability that the network gives to the right key among all keys.",
    ),
    (
        "PCA",
        "The two directions in which the features differ most. What lies apart here is apart in the features; what overlaps \
         may still be separable in other directions.",
    ),
    (
        "similarity",
        "Cosine of the angle between two embeddings, −1 to 1; positive pairs are two views of one image, negative pairs a view \
         and a key of another image in the queue.",
    ),
    (
        "top-1",
        "Share of queries whose own key is more similar than every key in the queue; top-5: among the five most similar.",
    ),
    (
        "uniformity",
        "Logarithm of the mean of exp(−2·squared distance) over pairs of keys; lower is more evenly spread, 0 is a collapse \
         (arXiv:2005.10242).",
    ),
];

/// A term, its definition on hover and one link away; the name itself where it has none.
pub(super) fn term(name: &str) -> String {
    term_as(name, name)
}

/// A term in other words: at the beginning of a sentence.
pub(super) fn term_as(name: &str, shown: &str) -> String {
    let shown = escape(shown);
    match DEFINITIONS.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => {
            format!("<a class=\"term\" href=\"#def-{}\" title=\"{}\">{shown}</a>", slug(name), escape(text))
        }
        None => shown,
    }
}

/// The list at the end of the page.
pub(super) fn section() -> String {
    let entry = |(name, text): &(&str, &str)| {
        format!("<div id=\"def-{}\"><dt>{}</dt><dd>{}</dd></div>", slug(name), escape(name), escape(text))
    };
    let entries: String = DEFINITIONS.iter().map(entry).collect();
    format!("<section id=\"definitions\"><h2>Definitions</h2><dl class=\"definitions\">{entries}</dl></section>")
}

fn slug(name: &str) -> String {
    let letters = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_can_be_linked_to() {
        for (name, _) in DEFINITIONS {
            let link = term(name);
            let target = link.split("href=\"#").nth(1).and_then(|rest| rest.split('"').next()).expect("a link");
            assert!(section().contains(&format!("id=\"{target}\"")), "{name}");
        }
        assert_eq!(term("a < b"), "a &lt; b");
    }
}
