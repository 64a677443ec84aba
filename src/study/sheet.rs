//! Contact sheets in colour: pictures of one size in rows.

use cxr_data::preview::GAP;
use image::ExtendedColorType;

use crate::{error::Result, files::png};

/// Grey value between the pictures; their borders are often black or white.
const GROUND: u8 = 96;
/// Pictures in a row, and pixels of a sheet: what is beyond them is not shown, so that a sheet can be opened.
const MOST_COLUMNS: usize = 32;
const MOST_PIXELS: usize = 64_000_000;

/// Square pictures on a grey ground, [`GAP`] pixels apart: the one at row r and column c begins at `c * (side + GAP)` from the
/// left and `r * (side + GAP)` from the top.
#[derive(Debug)]
pub(super) struct Sheet {
    side: usize,
    rows: usize,
    columns: usize,
    /// Three bytes per pixel, row by row.
    rgb: Vec<u8>,
}

impl Sheet {
    /// An empty sheet for pictures of `side` pixels, or for as many of their rows and columns as fit, at least one.
    pub(super) fn new(side: usize, rows: usize, columns: usize) -> Self {
        let columns = columns.clamp(1, MOST_COLUMNS);
        let row = (columns * (side + GAP) * (side + GAP)).max(1);
        let rows = rows.clamp(1, (MOST_PIXELS / row).max(1));
        let mut sheet = Self { side, rows, columns, rgb: Vec::new() };
        sheet.rgb = vec![GROUND; 3 * sheet.width() * sheet.height()];
        sheet
    }

    /// Whether the sheet has this place.
    pub(super) fn has(&self, row: usize, column: usize) -> bool {
        row < self.rows && column < self.columns
    }

    /// Puts a picture, three bytes per pixel, in its place, if the sheet has it.
    pub(super) fn place(&mut self, row: usize, column: usize, picture: &[u8]) {
        if !self.has(row, column) {
            return;
        }
        let (width, across) = (3 * self.width(), 3 * self.side);
        let (top, left) = (row * (self.side + GAP), 3 * column * (self.side + GAP));
        for (y, line) in picture.chunks_exact(across).take(self.side).enumerate() {
            let start = (top + y) * width + left;
            self.rgb[start..start + across].copy_from_slice(line);
        }
    }

    /// The sheet as a PNG.
    ///
    /// # Errors
    /// A side that a PNG cannot have.
    pub(super) fn png(&self) -> Result<Vec<u8>> {
        png(&self.rgb, self.width(), self.height(), ExtendedColorType::Rgb8)
    }

    fn width(&self) -> usize {
        self.columns * (self.side + GAP) - GAP
    }

    fn height(&self) -> usize {
        self.rows * (self.side + GAP) - GAP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_lie_in_their_places_and_the_rest_is_ground() {
        let mut sheet = Sheet::new(2, 2, 3);
        sheet.place(1, 2, &[7; 12]);
        sheet.place(2, 0, &[9; 12]); // beyond the sheet
        assert_eq!((sheet.width(), sheet.height()), (14, 8));
        let at = |y: usize, x: usize| sheet.rgb[3 * (y * 14 + x)];
        assert_eq!([at(6, 12), at(7, 13), at(5, 12), at(6, 11), at(0, 0)], [7, 7, 96, 96, 96]);
        assert!(sheet.png().is_ok());
    }

    #[test]
    fn a_sheet_stays_within_what_can_be_opened() {
        let sheet = Sheet::new(320, 100_000, 201);
        assert!(sheet.has(0, 31) && !sheet.has(0, 32) && !sheet.has(100, 0));
        assert!(sheet.width() * sheet.height() <= MOST_PIXELS);
        assert!(Sheet::new(64, 0, 0).has(0, 0));
    }
}
