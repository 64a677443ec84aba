//! Number of epochs that the paper trains with labels.

/// Epochs of MoCo-CXR's linear evaluation and fine-tuning by label fraction of CheXpert (paper, page 732).
pub const PAPER_EPOCHS: [(f64, usize); 4] = [(0.001, 220), (0.01, 95), (0.1, 41), (1.0, 18)];

/// Epochs for a number of labelled images: those of the CheXpert fraction whose number of images is nearest as a ratio,
/// and with it the number of steps. The paper states epochs for CheXpert only (`docs/deviations.md`).
pub fn paper_epochs(labelled_images: f64) -> usize {
    const CHEXPERT_IMAGES: f64 = 223_414.0;
    let ratio = |fraction: f64| (labelled_images.max(1.0) / (fraction * CHEXPERT_IMAGES)).ln().abs();
    let nearest = PAPER_EPOCHS.into_iter().min_by(|a, b| ratio(a.0).total_cmp(&ratio(b.0)));
    nearest.map_or(PAPER_EPOCHS[0].1, |(_, epochs)| epochs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_follow_the_number_of_labelled_images() {
        // The sizes of CheXpert's published draws, and the 430 training images of Shenzhen at its three fractions.
        for (images, epochs) in [(222, 220), (2259, 95), (22_454, 41), (223_414, 18), (27, 220), (108, 220), (430, 220)]
        {
            assert_eq!(paper_epochs(f64::from(images)), epochs, "{images}");
        }
        assert_eq!(paper_epochs(0.0), 220);
    }
}
