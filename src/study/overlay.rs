//! An image overlaid with a heat map.

use ndarray::ArrayView2;

/// The image in grey, three bytes per pixel, row by row.
pub(crate) fn in_grey(image: ArrayView2<'_, u8>) -> Vec<u8> {
    image.iter().flat_map(|&grey| [grey; 3]).collect()
}

/// The image overlaid with its heat map, scaled to its own maximum; three bytes per pixel, row by row.
///
/// # Shapes
/// - image `[H, W]`, map `[h, w]`
pub(crate) fn overlay(image: ArrayView2<'_, u8>, map: ArrayView2<'_, f64>) -> Vec<u8> {
    let largest = map.iter().copied().fold(0.0, f64::max);
    if largest <= 0.0 {
        return in_grey(image);
    }
    // The centre of a pixel in units of the map's cells, counted from the centre of the first cell.
    let place =
        |i: usize, pixels: usize, cells: usize| ((i as f64 + 0.5) / pixels as f64 * cells as f64 - 0.5).max(0.0);
    let ((height, width), (h, w)) = (image.dim(), map.dim());
    let coloured = image.indexed_iter().flat_map(|((y, x), &grey)| {
        let heat = bilinear(&map, place(y, height, h), place(x, width, w)) / largest;
        let hot = [255.0, 120.0 + 100.0 * heat, 20.0];
        let grey = f64::from(grey);
        hot.map(|colour| (grey + (colour - grey) * 0.65 * heat).round() as u8)
    });
    coloured.collect()
}

fn bilinear(map: &ArrayView2<'_, f64>, y: f64, x: f64) -> f64 {
    let (h, w) = map.dim();
    let (y0, x0) = ((y as usize).min(h - 1), (x as usize).min(w - 1));
    let (y1, x1) = ((y0 + 1).min(h - 1), (x0 + 1).min(w - 1));
    let (fy, fx) = ((y - y0 as f64).min(1.0), (x - x0 as f64).min(1.0));
    let row = |y: usize| map[[y, x0]] * (1.0 - fx) + map[[y, x1]] * fx;
    row(y0) * (1.0 - fy) + row(y1) * fy
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, arr2};

    use super::*;

    #[test]
    fn a_map_is_enlarged_between_its_cells_and_kept_at_them() {
        let map = arr2(&[[0.0, 1.0], [2.0, 3.0]]);
        let at = |y, x| bilinear(&map.view(), y, x);
        assert_eq!([at(0.0, 0.0), at(1.0, 1.0), at(0.5, 0.5), at(0.0, 1.5)], [0.0, 3.0, 1.5, 1.0]);
    }

    #[test]
    fn a_map_of_zeros_leaves_the_image_unchanged_and_heat_is_where_the_map_is() {
        let image = Array2::from_elem((4, 4), 90);
        let over = |map: [[f64; 2]; 2]| overlay(image.view(), arr2(&map).view());
        assert_eq!(over([[0.0, 0.0], [0.0, 0.0]]), [90; 48]);
        let hot = over([[0.0, 0.0], [0.0, 0.1]]);
        // The corner pixel below the last cell is the hottest; that above the first has none.
        assert_eq!((&hot[..3], &hot[45..]), (&[90, 90, 90][..], &[197, 175, 45][..]));
    }
}
