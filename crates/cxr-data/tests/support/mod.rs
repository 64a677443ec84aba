//! What several integration tests share: where golden files and real images lie, and reading `.npy`.

#![allow(clippy::unwrap_used, clippy::print_stdout, dead_code, unreachable_pub)]

use std::fs;
use std::path::{Path, PathBuf};

use cxr_data::{Dataset, Manifest, Pixels, Radiograph, Record};
use ndarray::Array2;

/// A file that `golden/make_views.py` made.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/views").join(name)
}

/// The folder of real images, or `None` with a printed reason.
pub fn test_data() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("MOCO_CXR_TEST_DATA").map_or(default, PathBuf::from);
    let found = folder.is_dir().then_some(folder);
    if found.is_none() {
        println!("skipped: no real images (MOCO_CXR_TEST_DATA names their folder)");
    }
    found
}

/// An image of 64 by 48 pixels that has a pattern of its own for each seed.
pub fn image(seed: u8) -> Radiograph {
    let pixels = (0..64 * 48).map(|at: usize| ((at * (3 + usize::from(seed)) + at / 64 * 7) % 251) as u8).collect();
    Radiograph::new(64, 48, Pixels::U8(pixels)).unwrap()
}

/// A two-dimensional array of `|u1` from NumPy's format.
pub fn npy_u8(path: &Path) -> Array2<u8> {
    let (shape, values) = npy(path, "|u1");
    Array2::from_shape_vec(shape, values).unwrap()
}

/// A two-dimensional array of `<u2` from NumPy's format.
pub fn npy_u16(path: &Path) -> Array2<u16> {
    let (shape, values) = npy(path, "<u2");
    let values = values.as_chunks().0.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
    Array2::from_shape_vec(shape, values).unwrap()
}

/// Shape and bytes of a version 1 file in C order.
fn npy(path: &Path, descr: &str) -> ((usize, usize), Vec<u8>) {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..start]).unwrap();
    assert!(header.contains(descr) && header.contains("'fortran_order': False"), "{}: {header}", path.display());
    let shape = header.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0;
    let sides: Vec<usize> =
        shape.split(',').filter(|s| !s.trim().is_empty()).map(|s| s.trim().parse().unwrap()).collect();
    ((sides[0], sides[1]), bytes[start..].to_vec())
}

/// `n` images of different sizes and depths in a folder, two to a study, four to a patient.
pub fn data_set(dir: &Path, n: usize) -> Manifest {
    let record = |i: usize| {
        let (width, height) = (40 + i % 5, 34 + i % 7);
        let values = (0..width * height).map(|p| ((p * (i + 3)) % 251 + p / 40) as u16 % 256);
        let pixels = if i % 3 == 2 {
            Pixels::U16(values.map(|value| value * 256 + 7).collect())
        } else {
            Pixels::U8(values.map(|value| value as u8).collect())
        };
        let path = format!("{i}.png");
        Radiograph::new(width, height, pixels).unwrap().write_png(&dir.join(&path)).unwrap();
        Record {
            path,
            patient: format!("p{}", i / 4),
            study: format!("p{}s{}", i / 4, i / 2),
            view: None,
            projection: None,
            sex: None,
            age: None,
            labels: Vec::new(),
        }
    };
    let records = (0..n).map(record).collect();
    Manifest {
        root: dir.to_owned(),
        dataset: Dataset::Folder,
        tasks: Vec::new(),
        records,
        patients_known: true,
        ..Manifest::default()
    }
}

/// Files without content: loading opens no image.
pub fn touch(root: &Path, paths: &[&str]) {
    for path in paths {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }
}

/// What an error says.
pub fn message(result: cxr_data::Result<Manifest>) -> String {
    result.unwrap_err().to_string()
}
