//! The part of an image that a view looks at, in 0..=1, with its border pixels repeated beyond the border.

use super::Plane;
use crate::radiograph::Level;

/// A window of an image that may extend beyond it.
pub(super) struct Bordered {
    /// Column and row of the window's first pixel in the image.
    pub(super) left: isize,
    pub(super) top: isize,
    /// Pixels per row.
    pub(super) width: usize,
    /// The values, row by row.
    pub(super) values: Vec<f32>,
}

impl Bordered {
    /// The columns and rows in these half-open ranges.
    pub(super) fn new<S: Level>(
        image: Plane<'_, S>,
        columns: std::ops::Range<isize>,
        rows: std::ops::Range<isize>,
    ) -> Self {
        let clamp = |at: isize, length: usize| at.clamp(0, length as isize) as usize;
        let width = (columns.end - columns.start).max(0) as usize;
        let inside = clamp(columns.start, image.width)..clamp(columns.end, image.width);
        let before = (-columns.start).clamp(0, width as isize) as usize;
        let mut values = vec![0.0; width * (rows.end - rows.start).max(0) as usize];
        for (row, out) in rows.clone().zip(values.chunks_exact_mut(width)) {
            let start = clamp(row, image.height - 1) * image.width;
            let row = &image.values[start..start + image.width];
            let (left, rest) = out.split_at_mut(before);
            let (middle, right) = rest.split_at_mut(inside.len());
            left.fill(row[0].to_unit());
            middle.iter_mut().zip(&row[inside.clone()]).for_each(|(out, value)| *out = value.to_unit());
            right.fill(row[image.width - 1].to_unit());
        }
        Self { left: columns.start, top: rows.start, width, values }
    }
}
