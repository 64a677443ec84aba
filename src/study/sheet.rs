//! Contact sheets in colour: pictures of one size in rows.

use cxr_data::preview::GAP;
use image::ExtendedColorType;

use crate::{error::Result, files::png};

/// Grey value between the pictures; their borders are often black or white.
const GROUND: u8 = 96;
/// Pictures in a row, and pixels of a sheet: what is beyond them is not shown, so that a sheet can be opened.
const MOST_COLUMNS: usize = 32;
const MOST_PIXELS: usize = 64_000_000;

/// Fewest pixels a side of a picture on a sheet: smaller ones are shown in whole multiples of their size.
const SHOWN: usize = 128;
/// Further pixels between groups of columns.
const APART: usize = 3 * GAP;

/// Square pictures on a grey ground, [`GAP`] pixels apart, groups of columns further apart.
#[derive(Debug)]
pub(super) struct Sheet {
    side: usize,
    /// Pixels a side that a pixel of a picture takes.
    scale: usize,
    rows: usize,
    columns: usize,
    /// Groups that end before a column.
    groups: fn(usize) -> usize,
    /// Three bytes per pixel, row by row.
    rgb: Vec<u8>,
}

impl Sheet {
    /// An empty sheet for pictures of `side` pixels, or for as many of their rows and columns as fit, at least one. `groups`
    /// is the number of groups that end before a column.
    pub(super) fn new(side: usize, rows: usize, columns: usize, groups: fn(usize) -> usize) -> Self {
        let columns = columns.clamp(1, MOST_COLUMNS);
        let scale = SHOWN.div_ceil(side.max(1)).max(1);
        let mut sheet = Self { side, scale, rows: 1, columns, groups, rgb: Vec::new() };
        let row = (sheet.width() + GAP) * (sheet.shown() + GAP);
        sheet.rows = rows.clamp(1, (MOST_PIXELS / row).max(1));
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
        let (width, shown) = (3 * self.width(), self.shown());
        let (top, left) = (row * (shown + GAP), 3 * self.left(column));
        for y in 0..shown {
            let from = y / self.scale * 3 * self.side;
            let Some(line) = picture.get(from..from + 3 * self.side) else { return };
            let start = (top + y) * width + left;
            let into = self.rgb[start..start + 3 * shown].chunks_exact_mut(3 * self.scale);
            for (block, pixel) in into.zip(line.chunks_exact(3)) {
                block.chunks_exact_mut(3).for_each(|shown| shown.copy_from_slice(pixel));
            }
        }
    }

    /// The sheet as a PNG.
    ///
    /// # Errors
    /// A side that a PNG cannot have.
    pub(super) fn png(&self) -> Result<Vec<u8>> {
        png(&self.rgb, self.width(), self.height(), ExtendedColorType::Rgb8)
    }

    /// Pixels a side of a picture on the sheet.
    fn shown(&self) -> usize {
        self.scale * self.side
    }

    /// Where a column begins.
    fn left(&self, column: usize) -> usize {
        column * (self.shown() + GAP) + (self.groups)(column) * APART
    }

    fn width(&self) -> usize {
        self.left(self.columns - 1) + self.shown()
    }

    fn height(&self) -> usize {
        self.rows * (self.shown() + GAP) - GAP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_lie_in_their_places_and_the_rest_is_ground() {
        let mut sheet = Sheet::new(64, 2, 3, |column| column.min(1));
        let picture: Vec<u8> = (0..64 * 64).flat_map(|at| [(at % 64) as u8; 3]).collect(); // its column
        sheet.place(1, 2, &picture);
        sheet.place(2, 0, &picture); // beyond the sheet
        let (left, top) = (2 * 132 + 12, 132);
        assert_eq!((sheet.width(), sheet.height()), (left + 128, top + 128), "each pixel takes two");
        let at = |y: usize, x: usize| sheet.rgb[3 * (y * sheet.width() + x)];
        assert_eq!([at(top, left + 2), at(top + 127, left + 127), at(top + 64, left + 65)], [1, 63, 32]);
        assert_eq!([at(top - 1, left), at(top, left - 1), at(0, 0)], [GROUND; 3]);
        assert!(sheet.png().is_ok());
    }

    #[test]
    fn a_sheet_stays_within_what_can_be_opened() {
        let sheet = Sheet::new(320, 100_000, 201, |_| 0);
        assert!(sheet.has(0, 31) && !sheet.has(0, 32) && !sheet.has(100, 0));
        assert!(sheet.width() * sheet.height() <= MOST_PIXELS);
        assert!(Sheet::new(64, 0, 0, |_| 0).has(0, 0));
    }
}
