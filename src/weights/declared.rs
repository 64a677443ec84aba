//! What the files beside weights, and the weight file itself, say of the images: the configurations of this project,
//! transformers, timm and lightly.

use std::{fs, ops::RangeInclusive, path::Path};

use backbones::{Arch, Scalar, WeightFile};
use cxr_data::ViewConfig;
use serde_json::Value;

use crate::{
    error::{Error, Result},
    files::{read_json, read_text},
};

/// Sides of an image in pixels: of the smallest that a network takes, and of the largest view.
pub(super) const SIDES: RangeInclusive<usize> = Arch::MIN_SIDE..=ViewConfig::MAX_SIZE;
/// Means that a file may state: of intensities in `[0, 1]`, or of a scale of its own.
const MEANS: RangeInclusive<f64> = -1e3..=1e3;
/// Standard deviations of intensities in `[0, 1]`; a network divides by them in f32.
pub(super) const DEVIATIONS: RangeInclusive<f64> = 1e-6..=1e6;

/// A value, and the file that says it; none if that file calls it an assumption.
type Said<T> = Option<(T, Option<String>)>;

/// What is said of the images of a network.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Declared {
    pub(super) size: Said<usize>,
    pub(super) mean: Said<[f64; 3]>,
    pub(super) std: Said<[f64; 3]>,
}

/// Names of the three in `preprocessor_config.json`.
pub(super) const KEYS: [&str; 3] = ["size", "image_mean", "image_std"];

/// Ours, and transformers'.
pub(super) const PREPROCESSOR: &str = "preprocessor_config.json";
/// timm's.
const CONFIG: &str = "config.json";
/// Written by timm's `train.py` beside its checkpoints.
const TIMM_ARGUMENTS: &str = "args.yaml";
/// Written by lightly's command line beside its checkpoints.
const LIGHTLY: &str = ".hydra/config.yaml";
/// A longer one is no configuration.
const LONGEST: u64 = 1 << 20;

impl Declared {
    /// Of a weight file. What an earlier file says goes before what a later one says, in the order of the constants above,
    /// and before what the weight file says (the arguments that timm keeps in a checkpoint).
    ///
    /// # Errors
    /// A file that cannot be understood.
    pub(super) fn of(file: &WeightFile) -> Result<Self> {
        let weights = file.path();
        let mut declared = Self::default();
        for (name, read) in
            [(PREPROCESSOR, preprocessor as fn(&Path) -> Result<Self>), (CONFIG, timm as fn(&Path) -> Result<Self>)]
        {
            let path = weights.with_file_name(name);
            if path.is_file() {
                declared = declared.or(read(&path)?);
            }
        }
        for (name, keys) in [(TIMM_ARGUMENTS, TIMM_KEYS), (LIGHTLY, LIGHTLY_KEYS)] {
            let path = weights.with_file_name(name);
            if fs::metadata(&path).is_ok_and(|facts| facts.is_file() && facts.len() <= LONGEST) {
                let text = read_text(&path)?;
                declared = declared.or(keys.read(&path.display().to_string(), |key| yaml(&text, key))?);
            }
        }
        let in_file = |key: &str| numbers_in(file, &format!("args.{key}"));
        Ok(declared.or(TIMM_KEYS.read(&weights.display().to_string(), in_file)?))
    }

    fn or(self, other: Self) -> Self {
        Self { size: self.size.or(other.size), mean: self.mean.or(other.mean), std: self.std.or(other.std) }
    }

    /// Checked values, each said by `file`.
    fn said(file: &str, size: Option<usize>, mean: Option<Vec<f64>>, std: Option<Vec<f64>>) -> Result<Self> {
        let fault = |reason: String| Error::Config { origin: file.to_owned(), reason };
        // One channel has one mean; a network stores three and then uses the first.
        let three = |name: &str, values: Option<Vec<f64>>| match values.as_deref() {
            None => Ok(None),
            Some(&[one]) => Ok(Some([one; 3])),
            Some(&[a, b, c]) => Ok(Some([a, b, c])),
            Some(values) => Err(fault(format!("found {} numbers for {name}, expected 1 or 3", values.len()))),
        };
        let (mean, std) = (three("the mean", mean)?, three("the standard deviation", std)?);
        if size.is_some_and(|size| !SIDES.contains(&size))
            || mean.iter().flatten().any(|m| !MEANS.contains(m))
            || std.iter().flatten().any(|s| !DEVIATIONS.contains(s))
        {
            let expected = format!(
                "expected {} to {} px, means from -1000 to 1000 and standard deviations from 1e-6 to 1e6",
                SIDES.start(),
                SIDES.end()
            );
            return Err(fault(format!("found size {size:?}, mean {mean:?} and deviation {std:?}, {expected}")));
        }
        let by = || Some(file.to_owned());
        Ok(Self { size: size.map(|v| (v, by())), mean: mean.map(|v| (v, by())), std: std.map(|v| (v, by())) })
    }
}

/// `preprocessor_config.json`. The network sees the crop where there is one, else the whole image.
fn preprocessor(path: &Path) -> Result<Declared> {
    let value: Value = read_json(path)?;
    let origin = path.display().to_string();
    let is = |key: &str| value.get(key).and_then(Value::as_bool);
    let crop = value.get("crop_size").filter(|crop| !crop.is_null() && is("do_center_crop") != Some(false));
    let size = crop.or(value.get("size")).filter(|_| is("do_resize") != Some(false) || crop.is_some());
    let size = size.filter(|size| !size.is_null()).map(|size| square(size, &origin)).transpose()?;
    let (mean, std) = match is("do_normalize") {
        Some(false) => (Some(vec![0.0]), Some(vec![1.0])),
        _ => (numbers(&value["image_mean"], &origin)?, numbers(&value["image_std"], &origin)?),
    };
    let mut declared = Declared::said(&origin, size, mean, std)?;
    let assumed = |key: &str| value["assumed"].as_array().is_some_and(|keys| keys.iter().any(|k| k == key));
    let forget = |said: &mut Option<String>, key| {
        if assumed(key) {
            *said = None
        }
    };
    declared.size.iter_mut().for_each(|(_, by)| forget(by, KEYS[0]));
    declared.mean.iter_mut().for_each(|(_, by)| forget(by, KEYS[1]));
    declared.std.iter_mut().for_each(|(_, by)| forget(by, KEYS[2]));
    Ok(declared)
}

/// A side, `{"height": 224, "width": 224}` or `{"shortest_edge": 224}`: Hugging Face's tools have written all three.
fn square(size: &Value, origin: &str) -> Result<usize> {
    let side = |value: &Value| value.as_u64().and_then(|side| usize::try_from(side).ok());
    let found = match size {
        Value::Object(_) => match (side(&size["height"]), side(&size["width"]), side(&size["shortest_edge"])) {
            (Some(height), Some(width), _) if height == width => Some(height),
            (None, None, shortest) => shortest,
            _ => None,
        },
        plain => side(plain),
    };
    let fault =
        || Error::Config { origin: origin.to_owned(), reason: format!("found images of {size}, expected square ones") };
    found.ok_or_else(fault)
}

fn numbers(value: &Value, origin: &str) -> Result<Option<Vec<f64>>> {
    let found: Option<Vec<f64>> = match value {
        Value::Null => return Ok(None),
        Value::Array(items) => items.iter().map(Value::as_f64).collect(),
        one => one.as_f64().map(|one| vec![one]),
    };
    let fault = || Error::Config { origin: origin.to_owned(), reason: format!("found {value}, expected numbers") };
    found.map(Some).ok_or_else(fault)
}

/// `config.json` of timm: `input_size` `[channels, height, width]`, `mean` and `std`, within `pretrained_cfg` or, in older
/// files, at the top. A `config.json` of any other tool says nothing of images, except for the size in ours.
fn timm(path: &Path) -> Result<Declared> {
    let value: Value = read_json(path)?;
    let origin = path.display().to_string();
    let config = value.get("pretrained_cfg").filter(|config| config.is_object()).unwrap_or(&value);
    if !value["architecture"].is_string() && !config["input_size"].is_array() {
        return Ok(Declared::default());
    }
    let size = match config["input_size"].as_array().map(Vec::as_slice) {
        Some([_, height, width]) if height == width => Some(square(height, &origin)?),
        Some(other) => {
            let reason = format!("found input_size {other:?}, expected channels, height and an equal width");
            return Err(Error::Config { origin, reason });
        }
        None => None,
    };
    Declared::said(&origin, size, numbers(&config["mean"], &origin)?, numbers(&config["std"], &origin)?)
}

/// Where a tool keeps the three values.
struct Keys {
    /// A side.
    side: &'static str,
    /// Channels, height and width.
    input: &'static str,
    mean: &'static str,
    std: &'static str,
}

const TIMM_KEYS: Keys = Keys { side: "img_size", input: "input_size", mean: "mean", std: "std" };
const LIGHTLY_KEYS: Keys = Keys { side: "collate.input_size", input: "", mean: "", std: "" };

impl Keys {
    fn read(&self, origin: &str, values: impl Fn(&str) -> Option<Vec<f64>>) -> Result<Declared> {
        let side = |side: f64| (side.fract() == 0.0 && (1.0..=65_536.0).contains(&side)).then_some(side as usize);
        let input = || match values(self.input)?[..] {
            [_, height, width] if height == width => side(height),
            _ => None,
        };
        let plain = || match values(self.side)?[..] {
            [one] => side(one),
            _ => None,
        };
        Declared::said(origin, input().or_else(plain), values(self.mean), values(self.std))
    }
}

/// Numbers in a weight file under a key, one or a list.
fn numbers_in(file: &WeightFile, key: &str) -> Option<Vec<f64>> {
    let number = |key: &str| match file.scalar(key)? {
        Scalar::Int(n) => Some(*n as f64),
        Scalar::Float(n) => Some(*n),
        _ => None,
    };
    number(key).map(|one| vec![one]).or_else(|| {
        let listed: Vec<f64> = (0..).map_while(|i| number(&format!("{key}.{i}"))).take(4).collect();
        (!listed.is_empty()).then_some(listed)
    })
}

/// The number or the numbers of a key (at the top, or in a mapping at the top) of a YAML file as PyYAML and OmegaConf write
/// it: a mapping in blocks, whose plain values stand on the line of their key, and whose lists are in blocks or brackets.
/// Anything else is nothing.
fn yaml(text: &str, key: &str) -> Option<Vec<f64>> {
    let (outer, inner) = key.split_once('.').map_or(("", key), |(outer, inner)| (outer, inner));
    if inner.is_empty() {
        return None;
    }
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let mut inside = outer.is_empty();
    let mut wanted = lines.skip_while(|line| {
        if !outer.is_empty() && indent(line) == 0 {
            inside = line.trim_end() == format!("{outer}:");
        }
        let at_depth = (indent(line) == 0) == outer.is_empty();
        !(inside && at_depth && line.trim_start().split_once(':').is_some_and(|(k, _)| k == inner))
    });
    let first = wanted.next()?;
    let number = |text: &str| text.trim().parse::<f64>().ok();
    // A comment after a value.
    let value = first.split_once(':')?.1.split(" #").next().unwrap_or_default().trim();
    match value {
        "" => {
            let items = wanted.map_while(|line| line.trim_start().strip_prefix("- ").map(str::to_owned));
            items.map(|item| number(&item)).collect::<Option<Vec<f64>>>().filter(|items| !items.is_empty())
        }
        list if list.starts_with('[') => list.trim_matches(['[', ']']).split(',').map(number).collect(),
        plain => number(plain).map(|one| vec![one]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_in_yaml_as_tools_write_it() {
        let timm = "amp: false\nimg_size: null\ninput_size:\n- 3\n- 288\n- 288\nlr: 0.1\nmean:\n- 0.5\n- 0.25\n- 0.125\nstd: [0.1, 0.2, 0.3]\n";
        assert_eq!(yaml(timm, "input_size"), Some(vec![3.0, 288.0, 288.0]));
        assert_eq!(yaml(timm, "img_size"), None);
        assert_eq!(yaml(timm, "mean"), Some(vec![0.5, 0.25, 0.125]));
        assert_eq!(yaml(timm, "std"), Some(vec![0.1, 0.2, 0.3]));
        assert_eq!(yaml(timm, "lr"), Some(vec![0.1]));
        let lightly = "model:\n  name: resnet-18\ncollate:\n  # in pixels\n  input_size: 64  # side\n  cj_prob: 0.8\nloader:\n  input_size: 1\n";
        assert_eq!(yaml(lightly, "collate.input_size"), Some(vec![64.0]));
        assert_eq!(yaml(lightly, "input_size"), None);
        assert_eq!(yaml("input_size: &a {b: 1}\n", "input_size"), None);
        assert_eq!(yaml("", "input_size"), None);
    }
}
