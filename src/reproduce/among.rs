//! The missing results of a table, dealt to several ranks.

use moco_core::gather_any;

use super::{Arm, Cost, Fit, NotMade, Reproduction};
use crate::{
    data::Parts,
    error::{Error, Result},
    files::Watch,
    ranks::{Ranks, Signs, dealt},
};

impl Reproduction {
    /// As [`Self::make_fits`], on several ranks, each of which calls it with the same settings. Whole fits are dealt to them, and
    /// each writes its own into the folder of results, which all must see. Every rank returns what could not be made, in the order
    /// of the fits.
    ///
    /// # Errors
    /// As [`Self::make_fits`]; a rank that sees another folder of results, or gives no sign of life for
    /// [`moco_core::Collective::deadline`]. An error of one rank is one for the others only when that rank has ended.
    pub fn make_fits_among(&self, fits: &[Fit], ranks: &Ranks, watch: &dyn Watch) -> Result<Vec<NotMade>> {
        if ranks.size() == 1 {
            return self.make_fits(fits, watch);
        }
        let all = self.table.fits();
        // What is missing, as rank 0 sees it before any rank adds something.
        let missing = self.missing();
        let word = |fit: &Fit| if fits.contains(fit) && missing.contains(fit) { '+' } else { '-' };
        let left = ranks.text_of_first(all.iter().map(word).collect(), "the fits that are missing")?;
        let left: Vec<Fit> = all.iter().zip(left.chars()).filter(|(_, c)| *c == '+').map(|(fit, _)| *fit).collect();
        if left.is_empty() {
            return Ok(Vec::new());
        }
        // Rank 0 opens everything first and takes the folders of all models, so that none is taken twice at once.
        let parts = ranks.in_turn("images and weights are read", || {
            let parts = self.opened(&left, watch)?;
            if ranks.is_first() {
                std::fs::create_dir_all(&self.results).map_err(Error::io(&self.results))?;
                left.chunk_by(|one, other| one.arm == other.arm).for_each(|fits| self.claim(fits[0].arm, &parts));
            } else {
                self.check_seen()?;
            }
            Ok(parts)
        })?;
        let mine = self.share(&left, &parts, ranks);
        watch.note(&format!("{} fits are dealt to {} ranks", left.len(), ranks.size()));
        let signs = Signs::begin(&self.results, ranks, watch)?;
        let own = self.make_of(&mine, &parts, &signs)?;
        signs.meet("all fits are made")?;
        self.joined(&left, &own, ranks)
    }

    /// The fits of this rank, in order. Those that share features stay together.
    fn share(&self, left: &[Fit], parts: &Parts, ranks: &Ranks) -> Vec<Fit> {
        let together =
            |one: &Fit, other: &Fit| self.by_features(one.arm.tuning) && one.arm == other.arm && one.task == other.task;
        let pieces: Vec<&[Fit]> = left.chunk_by(together).collect();
        let images = parts.train().readable().len() as f64;
        let valid = parts.valid().map_or(0, |valid| valid.readable().len()) as f64;
        let costs: Vec<f64> = pieces.iter().map(|fits| Cost::of(fits, images, valid).images).collect();
        let of = dealt(&costs, ranks.size());
        pieces.iter().zip(of).filter(|(_, of)| *of == ranks.rank()).flat_map(|(fits, _)| fits.iter().copied()).collect()
    }

    /// Takes the folder of a model. Where that is not possible, who makes its fits will say so.
    fn claim(&self, arm: Arm, parts: &Parts) {
        let _ = self.checked(arm, parts, &());
    }

    /// Whether this rank sees the folder of results that rank 0 has made.
    fn check_seen(&self) -> Result<()> {
        if self.results.is_dir() {
            return Ok(());
        }
        let results = self.results.display();
        Err(Error::Ranks(format!(
            "{results} is not seen here; expected one folder of results, under the same path for all ranks"
        )))
    }

    /// What no rank could make, on every rank, in the order of the fits.
    fn joined(&self, left: &[Fit], own: &[NotMade], ranks: &Ranks) -> Result<Vec<NotMade>> {
        let place = |made: &NotMade| left.iter().position(|fit| *fit == made.fit);
        let own: Vec<(usize, &str)> =
            own.iter().filter_map(|made| Some((place(made)?, made.reason.as_str()))).collect();
        let text = serde_json::to_vec(&own).unwrap_or_default();
        let mut all: Vec<(usize, String)> = Vec::new();
        for (rank, text) in gather_any(&**ranks.together(), &text, "what could not be made")?.iter().enumerate() {
            let of: Vec<(usize, String)> = serde_json::from_slice(text)
                .map_err(|e| Error::Ranks(format!("what rank {rank} could not make cannot be read: {e}")))?;
            all.extend(of);
        }
        all.sort();
        Ok(all.into_iter().filter_map(|(at, reason)| Some(NotMade { fit: *left.get(at)?, reason })).collect())
    }
}
