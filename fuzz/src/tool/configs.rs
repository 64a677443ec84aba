//! `config.toml` of a run, and a file of settings over a preset.

use std::hint::black_box;

use moco_cxr::pretrain::PretrainSettings;

use crate::Outcome;
use crate::plain::files::{folder, write};

pub(crate) fn run(bytes: &[u8]) -> Outcome {
    let path = folder("configs").join("config.toml");
    write(&path, bytes);
    let whole = PretrainSettings::read(&path);
    let preset = PretrainSettings::named("small", "data").map_err(|fault| fault.to_string())?;
    let over = preset.with_file(&path);
    for settings in whole.iter().chain(&over) {
        if settings.validate().is_ok() {
            let text = settings.to_toml().map_err(|fault| fault.to_string())?;
            write(&path, text.as_bytes());
            let again = PretrainSettings::read(&path).map_err(|fault| fault.to_string())?;
            assert_eq!(again.to_toml().ok(), Some(text), "what is written is read back");
        }
    }
    black_box(whole.is_ok());
    over.map(drop).map_err(|fault| fault.to_string())
}
