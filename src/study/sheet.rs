//! Contact sheets in colour: pictures of one size in rows, with captions.

use cxr_data::preview::GAP;
use image::ExtendedColorType;

use super::lettering::{HEIGHT, WIDTH, cut, draw, in_lines};
use crate::{error::Result, files::png};

/// Grey value between the pictures; their borders are often black or white.
const GROUND: u8 = 96;
/// Pictures in a row, and pixels of a sheet: what is beyond them is not shown, so that a sheet can be opened.
pub(super) const MOST_COLUMNS: usize = 32;
const MOST_PIXELS: usize = 64_000_000;

/// Fewest pixels a side of a picture on a sheet: smaller ones are shown in whole multiples of their size.
const SHOWN: usize = 128;
/// Further pixels between groups of columns.
const APART: usize = 3 * GAP;
/// Pixels left of a text.
const INSET: usize = 2;

/// What is to be on a sheet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan<'a> {
    /// Pixels a side of a picture.
    pub(super) side: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// The number of groups that end before a column.
    pub(super) groups: fn(usize) -> usize,
    /// Lines of a caption below a picture.
    pub(super) lines: usize,
    /// Pictures side by side that have one caption.
    pub(super) span: usize,
    /// What the sheet shows, above all pictures.
    pub(super) heading: &'a str,
}

/// Square pictures on a grey ground, [`GAP`] pixels apart, groups of columns further apart, each with a caption below.
#[derive(Debug)]
pub(super) struct Sheet {
    side: usize,
    /// Pixels a side that a pixel of a picture takes.
    scale: usize,
    rows: usize,
    columns: usize,
    groups: fn(usize) -> usize,
    lines: usize,
    span: usize,
    /// Pixels above the first row.
    top: usize,
    /// Three bytes per pixel, row by row.
    rgb: Vec<u8>,
}

impl Sheet {
    /// A sheet without pictures, with as many of the rows and columns as fit, at least one.
    pub(super) fn new(plan: Plan<'_>) -> Self {
        let Plan { side, rows, columns, groups, lines, span, heading } = plan;
        let columns = columns.clamp(1, MOST_COLUMNS);
        let scale = SHOWN.div_ceil(side.max(1)).max(1);
        let mut sheet = Self { side, scale, rows: 1, columns, groups, lines, span, top: 0, rgb: Vec::new() };
        let row = (sheet.width() + GAP) * sheet.pitch();
        sheet.rows = rows.clamp(1, (MOST_PIXELS / row).max(1));
        let heading = in_lines(heading, (sheet.width() - 2 * INSET) / WIDTH, usize::MAX);
        sheet.top = heading.len() * HEIGHT + 2 * GAP;
        sheet.rgb = vec![GROUND; 3 * sheet.width() * sheet.height()];
        sheet.write((GAP, INSET), &heading);
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
        let (top, left) = (self.top + row * self.pitch(), 3 * self.left(column));
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

    /// Writes lines below the picture in this place and those that share its caption, if the sheet has it: each cut to their
    /// width, and no more than were planned.
    pub(super) fn caption(&mut self, row: usize, column: usize, lines: &[String]) {
        if !self.has(row, column) {
            return;
        }
        let letters = self.letters(column);
        let lines: Vec<String> = lines.iter().take(self.lines).map(|line| cut(line, letters)).collect();
        let top = self.top + row * self.pitch() + self.shown() + GAP;
        self.write((top, self.left(column) + INSET), &lines);
    }

    /// Letters in a line of a caption.
    pub(super) fn letters(&self, column: usize) -> usize {
        let last = (column + self.span).clamp(1, self.columns) - 1;
        (self.left(last.max(column)) + self.shown() - self.left(column)).saturating_sub(INSET) / WIDTH
    }

    fn write(&mut self, (top, left): (usize, usize), lines: &[String]) {
        let width = self.width();
        for (line, top) in lines.iter().zip((top..).step_by(HEIGHT)) {
            draw(&mut self.rgb, width, (top, left), line);
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

    /// From the top of a row to that of the next.
    fn pitch(&self) -> usize {
        let caption = if self.lines > 0 { self.lines * HEIGHT + 2 * GAP } else { 0 };
        self.shown() + caption + GAP
    }

    fn height(&self) -> usize {
        self.top + self.rows * self.pitch() - GAP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(side: usize, rows: usize, columns: usize) -> Plan<'static> {
        Plan { side, rows, columns, groups: |column| column.min(1), lines: 0, span: 1, heading: "h" }
    }

    #[test]
    fn pictures_lie_in_their_places_and_the_rest_is_ground() {
        let mut sheet = Sheet::new(plan(64, 2, 3));
        let picture: Vec<u8> = (0..64 * 64).flat_map(|at| [(at % 64) as u8; 3]).collect(); // its column
        sheet.place(1, 2, &picture);
        sheet.place(2, 0, &picture); // beyond the sheet
        let (left, top) = (2 * 132 + 12, 13 + 8 + 132);
        assert_eq!((sheet.width(), sheet.height()), (left + 128, top + 128), "each pixel takes two");
        let at = |y: usize, x: usize| sheet.rgb[3 * (y * sheet.width() + x)];
        assert_eq!([at(top, left + 2), at(top + 127, left + 127), at(top + 64, left + 65)], [1, 63, 32]);
        assert_eq!([at(top - 1, left), at(top, left - 1), at(0, 0)], [GROUND; 3]);
        assert!(sheet.png().is_ok());
    }

    #[test]
    fn captions_stay_below_their_pictures_and_are_cut_to_their_width() {
        let mut sheet = Sheet::new(Plan { lines: 2, ..plan(64, 2, 3) });
        assert_eq!((sheet.letters(0), sheet.pitch()), (21, 128 + 2 * 13 + 3 * 4));
        let long = "long".repeat(30);
        sheet.caption(0, 1, &[long.clone(), long.clone(), long]);
        sheet.caption(2, 0, &["beyond the sheet".to_owned()]);
        let white = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>| {
            let at = |y: usize, x: usize| sheet.rgb[3 * (y * sheet.width() + x)];
            rows.map(|y| columns.clone().filter(|&x| at(y, x) == u8::MAX).count()).sum::<usize>()
        };
        let (left, below) = (132 + 12, sheet.top + 128);
        let lines = [0, 1, 2].map(|line| white(below + 4 + 13 * line..below + 4 + 13 * (line + 1), left..left + 128));
        assert!(lines[0] > 100 && lines[0] == lines[1] && lines[2] == 0, "{lines:?}");
        let (width, height) = (sheet.width(), sheet.height());
        assert_eq!(white(sheet.top..height, 0..width), lines[0] + lines[1], "nothing anywhere else");
        assert_eq!(Sheet::new(Plan { span: 2, ..plan(64, 1, 3) }).letters(1), (132 + 128 - 2) / 6);
        assert_eq!(Sheet::new(Plan { span: 2, ..plan(64, 1, 3) }).letters(2), 21, "of what there is");
    }

    #[test]
    fn a_sheet_stays_within_what_can_be_opened() {
        let sheet = Sheet::new(Plan { groups: |_| 0, lines: 4, ..plan(320, 100_000, 201) });
        assert!(sheet.has(0, 31) && !sheet.has(0, 32) && !sheet.has(100, 0));
        assert!(sheet.width() * (sheet.height() - sheet.top) <= MOST_PIXELS);
        assert!(Sheet::new(plan(64, 0, 0)).has(0, 0));
    }
}
