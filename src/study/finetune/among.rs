//! A fine-tuning whose draws are dealt to several ranks.

use std::{thread::sleep, time::Duration};

use super::{All, FineTuneOutcome, FinishedDraws, Place, Plan};
use crate::{
    error::{Error, Result},
    ranks::{Ranks, Signs, dealt},
    study::{Choosing, FineTuneSettings, Study, arm::union},
};

/// How often, and how often at most, it is looked for a draw of another rank, which a network file system may show late.
const LOOK: Duration = Duration::from_millis(500);
const LOOKS: usize = 240;

impl Study<'_> {
    /// As [`Self::fine_tune`], on several ranks, each of which calls it with the same settings and data. Whole draws are dealt to
    /// them. Each keeps those that it has finished in [`FineTuneSettings::unfinished`], a folder that all see, and rank 0 makes the
    /// outcome of them, which is that of one process bit for bit; the other ranks have none.
    ///
    /// # Errors
    /// As [`Self::fine_tune`]; no folder for finished draws, or one that another rank does not see; a rank that gives no sign of
    /// life for [`moco_core::Collective::deadline`]. An error of one rank is one for the others only when that rank has ended.
    pub fn fine_tune_among(&self, settings: &FineTuneSettings, ranks: &Ranks) -> Result<Option<FineTuneOutcome>> {
        if ranks.size() > 1 {
            self.train_share(settings, ranks)?;
        }
        if ranks.is_first() { self.fine_tune(settings).map(Some) } else { Ok(None) }
    }

    /// Trains on the draws of this rank, and waits for those of the others.
    fn train_share(&self, settings: &FineTuneSettings, ranks: &Ranks) -> Result<()> {
        let plan = self.plan(&self.protocol.fractions, self.protocol.draws, settings)?;
        let folder = settings.unfinished.as_deref().ok_or_else(|| Error::Setting {
            key: "unfinished".into(),
            found: "none".into(),
            expected: "a folder for finished draws, which all ranks see".into(),
        })?;
        let identity = self.identity(plan.valid, settings);
        let places: Vec<Place<'_>> = plan.places().collect();
        let (mut store, mut left) = (None, String::new());
        if ranks.is_first() {
            let store = store.insert(FinishedDraws::open(folder, &identity)?.shared());
            let missing = places.iter().map(|place| if place.is_in(store) { '-' } else { '+' });
            left = missing.collect();
        }
        let left = ranks.text_of_first(left, "the draws that are left")?;
        let store = match store {
            Some(store) => store,
            None => FinishedDraws::join(folder, &identity)?,
        };
        let left: Vec<&Place<'_>> =
            places.iter().zip(left.chars()).filter(|(_, c)| *c == '+').map(|(p, _)| p).collect();
        let costs: Vec<f64> = left.iter().map(|place| plan.cost(place, settings)).collect();
        let of = dealt(&costs, ranks.size());
        let mine: Vec<&Place<'_>> =
            left.iter().zip(&of).filter(|(_, of)| **of == ranks.rank()).map(|(place, _)| *place).collect();
        self.watch.note(&format!("{} draws are dealt to {} ranks", left.len(), ranks.size()));
        let signs = Signs::begin(folder, ranks, self.watch)?;
        let study = self.watched_by(&signs);
        let all = All::new(&study, settings, &union(mine.iter().map(|place| place.draw)))?;
        for place in mine {
            // What an interrupted training left of it is removed.
            store.find(place.fraction, place.number, place.exported)?;
            all.train_and_keep(place, plan.valid, Some(&store))?;
        }
        signs.meet("all draws are finished")?;
        if ranks.is_first() {
            left.iter().zip(of).try_for_each(|(place, rank)| seen(place, &store, rank))?;
        }
        Ok(())
    }
}

impl Plan<'_> {
    /// What a draw costs: images that go through the network.
    fn cost(&self, place: &Place<'_>, settings: &FineTuneSettings) -> f64 {
        let labelled = place.draw.places.len();
        let scored = Choosing::most(labelled).min(self.valid.rows().len());
        settings.epochs_for(labelled) as f64 * (labelled + scored) as f64
    }
}

/// Waits until a draw that another rank has finished is seen here.
fn seen(place: &Place<'_>, store: &FinishedDraws, rank: usize) -> Result<()> {
    for _ in 0..LOOKS {
        if place.is_in(store) {
            return Ok(());
        }
        sleep(LOOK);
    }
    let seconds = (LOOK * LOOKS as u32).as_secs();
    Err(Error::Ranks(format!(
        "{}, which rank {rank} has finished, is not seen by rank 0 after {seconds} s. The same command goes on from the draws that are",
        place.name
    )))
}
