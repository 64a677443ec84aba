//! Loads a weight file into a network.

use burn::module::Module;

use super::{
    file::{TensorInfo, WeightFile},
    fit::{ImportOptions, fit},
    printable::printable,
    report::Report,
};
use crate::{Error, Result, StateDict, load_state_dict, tensor_names};

/// Replaces every tensor of `module` by the file's tensor with the same torchvision name, under any common prefix
/// (`state_dict.module.encoder_q.`); names of old DenseNets, of a numbered `nn.Sequential` and of transformers' ResNets are
/// recognised. Numbers are converted to the module's precision.
///
/// The report lists every tensor of the file: taken, dropped because named in `options`, or outside of the prefix.
///
/// # Errors
/// When a tensor is missing, left over under the prefix or of another shape (and not named in `options`), when a number is
/// not finite or a running variance below 0, or when it is unclear which network is meant; nothing is loaded then.
pub fn import<M: Module>(file: &WeightFile, module: M, options: &ImportOptions) -> Result<(M, Report)> {
    let expected: Vec<_> = tensor_names(&module).into_iter().map(|(name, _, shape)| (name, shape)).collect();
    let (mut dict, report) = import_dict(file, &expected, options)?;
    // Tensors that may be missing keep the module's own values.
    if !report.allowed_missing.is_empty() {
        let own = crate::state_dict(&module)?;
        dict.extend(own.into_iter().filter(|(name, _)| report.allowed_missing.contains(name)));
    }
    Ok((load_state_dict(module, &dict)?, report))
}

/// As [`import`], for a list of names and shapes (see [`layout`](super::layout)) instead of a module.
///
/// # Errors
/// As [`import`].
pub fn import_dict(
    file: &WeightFile,
    expected: &[(String, Vec<usize>)],
    options: &ImportOptions,
) -> Result<(StateDict, Report)> {
    let (taken, report) = fit(file, expected, options)?;
    let fault = |info: &&TensorInfo| Some(format!("{}: {}", printable(&info.name), file.fault_of(info)?));
    let found: Vec<String> = taken.values().filter_map(fault).collect();
    if !found.is_empty() {
        return Err(Error::NotFinite { path: file.path().to_owned(), found });
    }
    Ok((taken.into_iter().map(|(name, info)| (name, file.tensor(info))).collect(), report))
}
