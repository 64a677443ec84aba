//! The settings that all ranks of a run share: those of rank 0, as the number of ranks and what is resumed require.

use std::path::Path;

use crate::{
    error::Result,
    files::{Existing, RunFolder, Watch},
    pretrain::{PretrainSettings, groups::for_ranks, resumed::same_settings},
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
