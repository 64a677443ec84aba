//! Arrays of numbers in NumPy's format, written block by block.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// A new file in NumPy's format, version 1.0 (numpy.lib.format): magic, version, header length, header (a Python literal, padded
/// so that the values start at a multiple of 64 bytes), values in f32 and C order. It belongs in a
/// [`NewFolder`](crate::files::NewFolder), because it does not appear whole by itself.
#[derive(Debug)]
pub(crate) struct Npy {
    path: PathBuf,
    file: BufWriter<File>,
    /// Values that the shape announces and that are still to come.
    left: usize,
}

impl Npy {
    /// Begins the file of an array of this shape.
    ///
    /// # Errors
    /// The file exists, or an I/O error.
    pub(crate) fn create(path: &Path, shape: &[usize]) -> Result<Self> {
        let file = File::create_new(path).map_err(Error::io(path))?;
        let mut npy = Self { path: path.to_owned(), file: BufWriter::new(file), left: shape.iter().copied().product() };
        npy.file.write_all(&header(shape)).map_err(Error::io(path))?;
        Ok(npy)
    }

    /// Writes the next values.
    ///
    /// # Errors
    /// More values than the shape says, or an I/O error.
    pub(crate) fn append<'v>(&mut self, values: impl IntoIterator<Item = &'v f32>) -> Result<()> {
        for value in values {
            let Some(left) = self.left.checked_sub(1) else { return Err(self.fault("more values")) };
            self.left = left;
            self.file.write_all(&value.to_le_bytes()).map_err(Error::io(&self.path))?;
        }
        Ok(())
    }

    /// Writes the values of another such file, which begin at byte `start`.
    ///
    /// # Errors
    /// More values than the shape says, or an I/O error.
    pub(crate) fn append_file(&mut self, other: &Path, start: u64) -> Result<()> {
        let mut file = File::open(other).map_err(Error::io(other))?;
        file.seek(SeekFrom::Start(start)).map_err(Error::io(other))?;
        let bytes = std::io::copy(&mut BufReader::new(file), &mut self.file).map_err(Error::io(&self.path))?;
        let values = usize::try_from(bytes / 4).ok().filter(|_| bytes.is_multiple_of(4));
        let Some(left) = values.and_then(|values| self.left.checked_sub(values)) else {
            return Err(self.fault("other values"));
        };
        self.left = left;
        Ok(())
    }

    /// The shape in a file that this type wrote, and the byte at which its values begin.
    ///
    /// # Errors
    /// Another file, or an I/O error.
    pub(crate) fn shape_of(path: &Path) -> Result<(Vec<usize>, u64)> {
        let mut file = File::open(path).map_err(Error::io(path))?;
        let mut begin = [0; 10]; // magic, version, length
        file.read_exact(&mut begin).map_err(Error::io(path))?;
        let mut text = vec![0; usize::from(u16::from_le_bytes([begin[8], begin[9]]))];
        file.read_exact(&mut text).map_err(Error::io(path))?;
        let text = String::from_utf8_lossy(&text);
        let sides = text.split_once("'shape': (").and_then(|(_, rest)| rest.split_once(')'));
        let shape = sides.map(|(sides, _)| sides.split(',').map(str::trim).filter(|side| !side.is_empty()));
        let shape: Option<Vec<usize>> = shape.and_then(|sides| sides.map(|side| side.parse().ok()).collect());
        let shape =
            shape.filter(|shape| !shape.is_empty() && begin.starts_with(b"\x93NUMPY\x01") && text.contains("'<f4'"));
        let fault = || Error::io(path)(std::io::Error::other("no array of f32 in NumPy's format 1.0"));
        shape.map(|shape| (shape, 10 + text.len() as u64)).ok_or_else(fault)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// Fewer values than the shape says, or an I/O error.
    pub(crate) fn finish(mut self) -> Result<()> {
        if self.left > 0 {
            return Err(self.fault("fewer values"));
        }
        self.file.flush().and_then(|()| self.file.get_ref().sync_all()).map_err(Error::io(&self.path))
    }

    fn fault(&self, what: &str) -> Error {
        Error::io(&self.path)(std::io::Error::other(format!("found {what} than its shape says")))
    }
}

fn header(shape: &[usize]) -> Vec<u8> {
    let mut sides = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    if shape.len() == 1 {
        sides.push(','); // a tuple of one
    }
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sides}), }}");
    const BEFORE: usize = 10; // magic, version, length
    let length = (BEFORE + text.len() + 1).next_multiple_of(64) - BEFORE;
    text.extend(std::iter::repeat_n(' ', length - 1 - text.len()));
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    // A number has at most 20 digits, so the header is far shorter than 65,536 bytes.
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn blocks_become_one_array_of_the_shape() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        let mut npy = Npy::create(&path, &[2, 1, 2]).unwrap();
        npy.append(&[1.0, 2.0]).unwrap();
        npy.append(&[3.0, 4.0]).unwrap();
        npy.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!((&bytes[..8], bytes.len()), (&b"\x93NUMPY\x01\x00"[..], 128 + 16));
        assert!(String::from_utf8_lossy(&bytes[10..128]).contains("'shape': (2, 1, 2), }"));
        assert_eq!(bytes[128..132], 1.0_f32.to_le_bytes());
        assert!(String::from_utf8_lossy(&header(&[3])).contains("'shape': (3,), }"));
    }

    #[test]
    fn another_number_of_values_than_the_shape_says_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut npy = Npy::create(&dir.path().join("a.npy"), &[2]).unwrap();
        assert!(npy.append(&[1.0, 2.0, 3.0]).unwrap_err().to_string().contains("more values"));
        let few = Npy::create(&dir.path().join("b.npy"), &[2]).unwrap();
        assert!(few.finish().unwrap_err().to_string().contains("fewer values"));
        assert!(Npy::create(&dir.path().join("a.npy"), &[2]).is_err(), "nothing is overwritten");
    }
}
