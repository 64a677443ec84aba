//! Definitions of the numbers on the page: shown on hover, and listed at the end.

use eval::chart::escape;

/// Name and definition, in alphabetical order.
const DEFINITIONS: &[(&str, &str)] = &[
    (
        "95 % interval",
        "Percentile interval of a bootstrap that resamples whole patients, so that images of one patient are not counted as \
         independent. Of a hundred such intervals from new patients, about ninety-five would contain the true value. Where several \
         label draws were made, it is widened by their variation (Student's t over the draws).",
    ),
    (
        "alignment",
        "Mean squared distance on the unit sphere between query and key of the same image, 2 − 2·similarity; 0 to 4, lower is \
         better (arXiv:2005.10242).",
    ),
    (
        "AUROC",
        "Area under the ROC curve: the probability that a random positive is scored above a random negative; 0.5 is chance, \
         1 a perfect ranking.",
    ),
    (
        "Brier score",
        "Mean squared difference of predicted probability and outcome (0 or 1); 0 is perfect, lower is better.",
    ),
    (
        "ECE",
        "Expected calibration error: difference between mean predicted probability and observed share of positives, averaged \
         over ten bins weighted by their number of rows; 0 is perfect.",
    ),
    (
        "effective rank",
        "Effective number of directions in which the newest keys vary, from 1 (all on a line) to the dimension of the \
         embedding; a fall towards 1 is a collapse (RankMe, arXiv:2210.02885).",
    ),
    ("gradient norm", "Euclidean norm of the gradient over all weights, before clipping."),
    (
        "Grad-CAM",
        "The last feature maps, weighted by the mean gradient of a finding's score, with negative values set to zero \
         (arXiv:1610.02391). It shows what the network used, not where the disease is.",
    ),
    (
        "guessing",
        "The loss of a network that cannot tell the positive from the negatives: ln(1 + number of keys in the queue), in nats. \
         It grows while the queue fills.",
    ),
    (
        "key deviation",
        "Mean standard deviation of the coordinates of the newest keys: 1/√D when they are spread evenly over the unit sphere \
         in D dimensions, 0 when all are equal.",
    ),
    (
        "loss",
        "InfoNCE in nats: the negative logarithm of the probability that the network assigns to the matching key among all keys.",
    ),
    (
        "PCA",
        "Principal component analysis: the two directions in which the features vary most. Points that lie apart here are apart \
         in the features; points that overlap may still be separable in other directions.",
    ),
    (
        "similarity",
        "Cosine of the angle between two embeddings, −1 to 1. A positive pair is two views of one image; a negative pair is a \
         view and the key of another image in the queue.",
    ),
    (
        "top-1",
        "Share of queries that are more similar to their own key than to every key in the queue. Top-5: their own key is among \
         the five most similar.",
    ),
    (
        "uniformity",
        "Logarithm of the mean of exp(−2·squared distance) over pairs of keys; lower means more evenly spread, 0 is a collapse \
         (arXiv:2005.10242).",
    ),
];

/// A term as a link to its definition, which is shown on hover; the plain name if there is no definition.
pub(super) fn term(name: &str) -> String {
    term_as(name, name)
}

/// [`term`] shown in other words, as at the beginning of a sentence.
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
