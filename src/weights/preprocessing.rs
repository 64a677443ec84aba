//! What a network expects of an image: side, mean and standard deviation, each *known* (from a file beside the weights, from
//! the weight file itself, or from the user) or *assumed*. An assumption is said wherever it is used, is stored as one, and
//! gives way to what the user states; a known value does not.

use std::path::Path;

use backbones::{Normalization, WeightFile};

use super::{
    advice::quoted,
    declared::{DEVIATIONS, Declared, KEYS, SIDES},
    source::Assumed,
};
use crate::error::{Error, Result};

/// What the user states of the images.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Asked {
    /// Side in pixels.
    pub(super) size: Option<usize>,
    pub(super) mean: Option<[f64; 3]>,
    pub(super) std: Option<[f64; 3]>,
    /// Whether this goes before what is known, as in an import.
    pub(super) overrides: bool,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
enum Origin {
    /// The user.
    Asked,
    /// This file.
    Known(String),
    /// Nobody said it.
    Assumed(String),
}

/// One of the three values.
#[derive(Debug, Clone)]
struct Stated<T> {
    value: T,
    origin: Origin,
}

/// Side, mean and standard deviation of the images of a network.
#[derive(Debug, Clone)]
pub(super) struct Preprocessing {
    size: Stated<usize>,
    mean: Stated<[f64; 3]>,
    std: Stated<[f64; 3]>,
    /// What the user stated against a known value.
    overridden: Vec<String>,
}

impl Preprocessing {
    /// Of a weight file: what the user asked for, else what lies beside the file or in it, else what is assumed.
    ///
    /// # Errors
    /// A file beside the weights that cannot be understood; a request that is out of range, or contradicts what is known.
    pub(super) fn find(file: &WeightFile, channels: usize, assumed: Assumed, asked: &Asked) -> Result<Self> {
        let declared = if assumed.published { Declared::default() } else { Declared::of(file)? };
        Self::resolve(declared, channels, assumed, asked, file.path())
    }

    /// Of random weights.
    ///
    /// # Errors
    /// A request that is out of range.
    pub(super) fn assumed(assumed: Assumed, asked: &Asked) -> Result<Self> {
        Self::resolve(Declared::default(), 3, assumed, asked, Path::new("random"))
    }

    fn resolve(declared: Declared, channels: usize, assumed: Assumed, asked: &Asked, of: &Path) -> Result<Self> {
        asked.validate()?;
        let mut overridden = Vec::new();
        let Assumed { size, normalization: Normalization { mean, std }, whose, .. } = assumed;
        let mut choice = Choice { asked, whose, of, overridden: &mut overridden };
        let same = |a: &[f64; 3], b: &[f64; 3]| {
            // Equal up to the digits that a user would copy.
            a.iter().zip(b).take(channels).all(|(a, b)| (a - b).abs() <= 1e-6)
        };
        let shown = |values: &[f64; 3]| format!("{:?}", &values[..channels]);
        let size = choice.of("image size", asked.size, declared.size, size, |a, b| a == b, usize::to_string)?;
        let mean = choice.of("mean", asked.mean, declared.mean, mean, same, shown)?;
        let std = choice.of("std", asked.std, declared.std, std, same, shown)?;
        Ok(Self { size, mean, std, overridden })
    }

    /// Side in pixels.
    pub(super) fn size(&self) -> usize {
        self.size.value
    }

    /// Mean and standard deviation.
    pub(super) fn normalization(&self) -> Normalization {
        Normalization { mean: self.mean.value, std: self.std.value }
    }

    fn is_assumed(&self) -> [bool; 3] {
        [&self.size.origin, &self.mean.origin, &self.std.origin].map(|origin| matches!(origin, Origin::Assumed(_)))
    }

    /// Keys of what is assumed, for `preprocessor_config.json`.
    pub(super) fn assumptions(&self) -> Vec<String> {
        KEYS.into_iter().zip(self.is_assumed()).filter(|(_, assumed)| *assumed).map(|(key, _)| key.to_owned()).collect()
    }

    /// What the user should be told: what is assumed, and what the user stated against a known value. `why` says why
    /// something is assumed.
    pub(super) fn notes(&self, why: &str) -> Vec<String> {
        let Normalization { mean, std } = self.normalization();
        let values = [images_of(self.size.value), format!("mean {mean:?}"), format!("standard deviation {std:?}")];
        let origins = [&self.size.origin, &self.mean.origin, &self.std.origin];
        let mut notes = self.overridden.clone();
        let mut whose: Vec<&str> = origins
            .iter()
            .filter_map(|origin| if let Origin::Assumed(whose) = origin { Some(whose.as_str()) } else { None })
            .collect();
        whose.dedup();
        if !whose.is_empty() {
            let listed = values.iter().zip(self.is_assumed()).filter(|(_, assumed)| *assumed);
            let listed: Vec<_> = listed.map(|(value, _)| value.as_str()).collect();
            let flags = ["--image-size", "--mean", "--std"].into_iter().zip(self.is_assumed());
            let flags: Vec<_> = flags.filter(|(_, assumed)| *assumed).map(|(flag, _)| flag).collect();
            let mut note = format!(
                "{why}; assuming {} settings: {} ({} to state {})",
                whose.join(", "),
                listed.join(", "),
                flags.join(", "),
                if flags.len() == 1 { "another" } else { "others" },
            );
            if self.size.origin == Origin::Asked {
                note += &format!("; {} as asked", values[0]);
            }
            notes.push(note);
        }
        notes
    }
}

/// The image size as it stands in a note.
fn images_of(side: usize) -> String {
    format!("images of {side} px")
}

struct Choice<'a> {
    asked: &'a Asked,
    whose: &'a str,
    of: &'a Path,
    overridden: &'a mut Vec<String>,
}

impl Choice<'_> {
    fn of<T>(
        &mut self,
        key: &str,
        asked: Option<T>,
        declared: Option<(T, Option<String>)>,
        assumed: T,
        same: impl Fn(&T, &T) -> bool,
        shown: impl Fn(&T) -> String,
    ) -> Result<Stated<T>> {
        let assumption = |whose: &str| Origin::Assumed(whose.to_owned());
        let (value, origin) = match declared {
            Some((value, Some(file))) => (value, Origin::Known(file)),
            Some((value, None)) => (value, assumption("the importer's")),
            None => (assumed, assumption(self.whose)),
        };
        let Some(asked) = asked else { return Ok(Stated { value, origin }) };
        if let Origin::Known(file) = &origin
            && !same(&asked, &value)
        {
            if !self.asked.overrides {
                let of = self.of.display();
                let flag = key.replace(' ', "-");
                let flag = flag.replace("image-size", "--image-size").replace("mean", "--mean").replace("std", "--std");
                return Err(Error::Setting {
                    key: key.into(),
                    found: shown(&asked),
                    expected: format!(
                        "{}, as {of} was trained with ({file} says so; if that is wrong: `moco-cxr import {} {flag} {} --out DIR`, and \
                         then DIR in its place)",
                        shown(&value),
                        quoted(&of.to_string()),
                        shown(&asked).trim_matches(['[', ']']).replace(' ', ""),
                    ),
                });
            }
            self.overridden.push(format!("{key}: {} as asked, although {file} says {}", shown(&asked), shown(&value)));
        }
        Ok(Stated { value: asked, origin: Origin::Asked })
    }
}

impl Asked {
    /// Checks what the user states, under the names of its flags.
    ///
    /// # Errors
    /// [`Error::Setting`] for a number that is out of range.
    pub(super) fn validate(&self) -> Result<()> {
        let refuse = |key: &str, found: String, expected: &str| {
            Err(Error::Setting { key: key.into(), found, expected: expected.into() })
        };
        if let Some(size) = self.size.filter(|size| !SIDES.contains(size)) {
            return refuse("--image-size", size.to_string(), &format!("{} to {} pixels", SIDES.start(), SIDES.end()));
        }
        if let Some(mean) = self.mean.filter(|mean| mean.iter().any(|m| !(0.0..=1.0).contains(m))) {
            return refuse("--mean", shown(&mean), "numbers from 0 to 1, of intensities from 0 to 1");
        }
        if let Some(std) = self.std.filter(|std| std.iter().any(|s| !DEVIATIONS.contains(s))) {
            return refuse("--std", shown(&std), "numbers from 1e-6 to 1e6, of intensities from 0 to 1");
        }
        Ok(())
    }
}

/// As a user writes it: one number, or three.
fn shown(values: &[f64; 3]) -> String {
    match values.iter().all(|value| value.to_bits() == values[0].to_bits()) {
        true => values[0].to_string(),
        false => values.map(|value| value.to_string()).join(","),
    }
}
