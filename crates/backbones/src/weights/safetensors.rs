//! safetensors files, read with the crate of that name.

use ::safetensors::{SafeTensors, tensor::Metadata};

use super::{
    checksum,
    dtype::Dtype,
    file::{Contents, Scalar, TensorInfo},
    pickle::Fault,
};

/// The header comes after its length, a 64-bit number.
const HEADER: usize = 8;

pub(super) fn read(bytes: &[u8]) -> Result<Contents, Fault> {
    let fault = |problem: String| Fault { position: HEADER.min(bytes.len()), problem };
    let (length, header) =
        SafeTensors::read_metadata(bytes).map_err(|e| fault(format!("not a valid safetensors header: {e}")))?;
    let data = HEADER + length;
    // `offset_keys` is in the order of the data; names follow torchvision's order in no file anyway.
    let mut contents = Contents::default();
    for name in header.offset_keys() {
        let Some(info) = header.info(&name) else { continue };
        let dtype = Dtype::of_safetensors(info.dtype)
            .ok_or_else(|| fault(format!("tensor {name:?}: numbers of unknown kind {:?}", info.dtype)))?;
        let (start, end) = info.data_offsets;
        if bytes.len() - data < end {
            return Err(fault(format!("tensor {name:?} ends at byte {end} of {} bytes of data", bytes.len() - data)));
        }
        let shape = info.shape.clone();
        contents.tensors.push(TensorInfo { name, dtype, stride: contiguous(&shape), shape, start: data + start });
    }
    let expected = header.metadata().as_ref().and_then(|metadata| metadata.get(checksum::KEY));
    if let Some(expected) = expected {
        let found = of_file(&header, &bytes[data..]);
        if found != *expected {
            return Err(fault(format!(
                "damaged: the tensors have the checksum {found}, expected {expected:?}, as was written with them"
            )));
        }
        contents.checked = true;
    }
    let mut metadata: Vec<_> = header.metadata().iter().flatten().collect();
    metadata.sort();
    contents.scalars = metadata.into_iter().map(|(k, v)| (k.clone(), Scalar::Text(v.clone()))).collect();
    Ok(contents)
}

/// The checksum of the tensors, all of which lie in `data`.
fn of_file(header: &Metadata, data: &[u8]) -> String {
    let mut names = header.offset_keys();
    names.sort();
    checksum::of(names.iter().filter_map(|name| {
        let info = header.info(name)?;
        let (start, end) = info.data_offsets;
        Some((name.as_str(), info.dtype, &info.shape[..], &data[start..end]))
    }))
}

/// Strides of a row-major layout.
fn contiguous(shape: &[usize]) -> Vec<usize> {
    let mut stride: Vec<usize> = shape
        .iter()
        .rev()
        .scan(1_usize, |next, &size| {
            let this = *next;
            *next = next.saturating_mul(size);
            Some(this)
        })
        .collect();
    stride.reverse();
    stride
}
