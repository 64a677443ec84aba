//! The settings that all ranks of a run share: those of rank 0, as the number of ranks and what is resumed require.

use std::path::Path;

use crate::{
    error::{Error, Result},
    files::{Existing, RunFolder, Watch},
    pretrain::{PretrainSettings, resumed::same_settings},
    ranks::Ranks,
};

/// The settings of the run, which are rank 0's but for the device, and whether a run is resumed.
pub(super) fn agreed(
    settings: &PretrainSettings,
    out: &Path,
    existing: Existing,
    ranks: &Ranks,
    notes: &dyn Watch,
) -> Result<(PretrainSettings, bool)> {
    let mut resuming = false;
    let mut own = settings.clone();
    let mut text = String::new();
    if ranks.is_first() {
        RunFolder::check(out, existing)?;
        resuming = existing == Existing::Resume && out.join("config.toml").is_file();
        own =
            if resuming { same_settings(own, out, ranks.size(), notes)? } else { for_ranks(own, ranks.size(), notes)? };
        text = format!("{}\n{}", u8::from(resuming), own.to_toml()?);
    }
    if ranks.size() > 1 {
        text = ranks.text_of_first(text, "the settings")?;
        let (flag, toml) = text.split_once('\n').unwrap_or(("0", ""));
        resuming = flag == "1";
        let device = settings.device;
        own = PretrainSettings { device, ..PretrainSettings::parse(toml, Path::new("the settings of rank 0"))? };
    }
    Ok((own, resuming))
}

/// Settings for a number of ranks, whose parts of a batch are normalised apart: there are as many groups at least.
pub(super) fn for_ranks(mut settings: PretrainSettings, ranks: usize, notes: &dyn Watch) -> Result<PretrainSettings> {
    let train = &mut settings.train;
    if !train.batch_size.is_multiple_of(ranks) {
        return Err(Error::Setting {
            key: "train.batch_size".into(),
            found: format!("{} for {ranks} ranks", train.batch_size),
            expected: "a multiple of the number of ranks: it is the size of the whole batch".into(),
        });
    }
    let groups = train.moco.groups;
    if groups.is_multiple_of(ranks) {
        return Ok(settings);
    }
    let [before, now] = [train.batch_size / groups.max(1), train.batch_size / ranks];
    train.moco.groups = ranks;
    train.moco.validate(train.batch_size)?;
    notes.note(&format!(
        "batch normalisation over {now} images at a time instead of {before} (train.moco.groups {groups} -> {ranks}, one for each \
         rank): statistics, and with them the results, are not those of {groups} group(s)"
    ));
    Ok(settings)
}
