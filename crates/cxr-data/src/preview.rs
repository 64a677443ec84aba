//! Contact sheets: the views of a batch side by side, byte for byte as in training.

use ndarray::{ArrayView2, Axis};

use crate::{Error, PairBatch, Pixels, Radiograph, Result, ViewBatch};

/// Pixels between two views.
pub const GAP: usize = 4;
/// Grey value between the views; their borders are often black or white.
const GROUND: u8 = 96;

/// A sheet with `columns` pairs per row, each query view with its key view to the right.
///
/// View `i`, counted row by row, begins at pixel `((i % c) * (S + GAP), (i / c) * (S + GAP))`, `c = 2 * columns`.
///
/// # Errors
/// [`Error::Batches`] for an empty batch or 0 columns.
pub fn pairs(batch: &PairBatch, columns: usize) -> Result<Radiograph> {
    let views = batch.query.axis_iter(Axis(0)).zip(batch.key.axis_iter(Axis(0)));
    sheet(&views.flat_map(|(query, key)| [query, key]).collect::<Vec<_>>(), 2 * columns)
}

/// A sheet with `columns` views per row.
///
/// # Errors
/// [`Error::Batches`] for an empty batch or 0 columns.
pub fn views(batch: &ViewBatch, columns: usize) -> Result<Radiograph> {
    sheet(&batch.images.axis_iter(Axis(0)).collect::<Vec<_>>(), columns)
}

fn sheet(views: &[ArrayView2<'_, u8>], columns: usize) -> Result<Radiograph> {
    let (Some(first), true) = (views.first(), columns > 0) else {
        let reason =
            format!("a contact sheet of {} views in {columns} columns; expected at least one of each", views.len());
        return Err(Error::Batches { reason });
    };
    let side = first.nrows();
    let columns = columns.min(views.len());
    let length = |count: usize| count * (side + GAP) - GAP;
    let (width, height) = (length(columns), length(views.len().div_ceil(columns)));
    let mut values = vec![GROUND; width * height];
    for (i, view) in views.iter().enumerate() {
        let (left, top) = (i % columns * (side + GAP), i / columns * (side + GAP));
        for (y, row) in view.rows().into_iter().enumerate() {
            let start = (top + y) * width + left;
            values[start..start + side].iter_mut().zip(row).for_each(|(to, &from)| *to = from);
        }
    }
    Radiograph::new(width, height, Pixels::U8(values))
}
