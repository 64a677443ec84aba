//! A position in a file's bytes, and reading from there.

/// A fault at a position of the file.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// Byte of the file.
    pub(crate) position: usize,
    /// The value found, and the one expected.
    pub(crate) problem: String,
}

/// A range of a file's bytes and a position in it; positions count from the start of the file.
#[derive(Debug, Clone)]
pub(crate) struct Bytes<'a> {
    file: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Bytes<'a> {
    /// Between `start` and `end` of the file, both inside it.
    pub(crate) fn new(file: &'a [u8], start: usize, end: usize) -> Self {
        let end = end.min(file.len());
        Self { file, at: start.min(end), end }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.end
    }

    pub(crate) fn fault<T>(&self, problem: impl Into<String>) -> Result<T, Fault> {
        Err(Fault { position: self.at, problem: problem.into() })
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let left = self.end - self.at;
        if count > left {
            return self.fault(format!("cut short: {count} more bytes expected, {left} left"));
        }
        self.at += count;
        Ok(&self.file[self.at - count..self.at])
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Fault> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_le_bytes)
    }

    /// A size or an offset: not negative, and addressable on this machine.
    pub(crate) fn size(&mut self) -> Result<usize, Fault> {
        let position = self.at;
        let value = self.u64()?;
        i64::try_from(value)
            .ok()
            .and_then(|v| usize::try_from(v).ok())
            .ok_or_else(|| Fault { position, problem: format!("impossible size {value}") })
    }

    /// Up to the next line feed, which is consumed but not returned.
    pub(crate) fn line(&mut self) -> Result<&'a str, Fault> {
        let rest = &self.file[self.at..self.end];
        let Some(length) = rest.iter().position(|&b| b == b'\n') else {
            return self.fault("cut short: no end of line");
        };
        let line = self.text(length)?;
        self.at += 1;
        Ok(line)
    }

    pub(crate) fn text(&mut self, length: usize) -> Result<&'a str, Fault> {
        let position = self.at;
        std::str::from_utf8(self.take(length)?)
            .map_err(|_| Fault { position, problem: "text that is not UTF-8".to_owned() })
    }
}
