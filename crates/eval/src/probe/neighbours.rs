//! The rows nearest to a query in feature space.

use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;

use super::features::{check, check_columns};
use super::knn::{BLOCK, nearest, unit_rows};
use crate::error::{Error, Result};

/// For every query the k bank rows with the highest cosine similarity, and that similarity, nearest first, among the rows
/// for which `admit(query, row)` holds; fewer than k if fewer are admitted. Of equally near rows, those that come first in
/// the bank are taken.
///
/// # Shapes
/// - bank `[N, D]`, queries `[M, D]`, returns M lists
///
/// # Errors
/// k of 0; wrong shapes; features that are not finite, or zero throughout a row.
pub fn nearest_neighbours(
    bank: ArrayView2<'_, f32>,
    queries: ArrayView2<'_, f32>,
    k: usize,
    admit: impl Fn(usize, usize) -> bool + Sync,
) -> Result<Vec<Vec<(usize, f64)>>> {
    if k == 0 {
        return Err(Error::Setting { name: "k", found: "0".to_owned(), expected: "at least 1" });
    }
    check("bank", bank)?;
    check("queries", queries)?;
    check_columns(queries, bank.ncols())?;
    let (bank, queries) = (unit_rows("bank", bank)?, unit_rows("queries", queries)?);
    let blocks: Vec<_> = queries.axis_chunks_iter(Axis(0), BLOCK).collect();
    let found = blocks.into_par_iter().enumerate().flat_map_iter(|(block, queries)| {
        let similarities = queries.dot(&bank.t()); // [block, N]
        let lists = similarities.rows().into_iter().enumerate().map(|(place, similarities)| {
            let query = block * BLOCK + place;
            let mut rows: Vec<usize> = (0..similarities.len()).filter(|&row| admit(query, row)).collect();
            let nearest = nearest(&mut rows, |row| similarities[row], k);
            nearest.iter().map(|&row| (row, similarities[row])).collect()
        });
        lists.collect::<Vec<Vec<(usize, f64)>>>()
    });
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn neighbours_are_the_nearest_admitted_rows_in_order() {
        let bank = array![[0.6_f32, 0.8], [5.0, 0.0], [0.0, 2.0], [4.0, 3.0], [3.0, 0.0]];
        let queries = array![[2.0_f32, 0.0], [0.0, 1.0]];
        let found = nearest_neighbours(bank.view(), queries.view(), 3, |_, _| true).unwrap();
        let rows = |list: &[(usize, f64)]| list.iter().map(|(row, _)| *row).collect::<Vec<_>>();
        assert_eq!([rows(&found[0]), rows(&found[1])], [[1, 4, 3], [2, 0, 3]]);
        // 0.8 has a relative error of 6e-8 in f32.
        assert!(found[0][0].1 == 1.0 && (found[0][2].1 - 0.8).abs() < 1e-6, "{found:?}");
        let found = nearest_neighbours(bank.view(), queries.view(), 9, |query, row| query == 1 && row != 2).unwrap();
        assert_eq!((found[0].len(), rows(&found[1])), (0, vec![0, 3, 1, 4]));
    }

    #[test]
    fn more_queries_than_a_block_keep_their_numbers() {
        let bank = Array2::from_shape_fn((2 * BLOCK + 3, 2), |(row, column)| {
            let angle = row as f32 / 100.0;
            if column == 0 { angle.cos() } else { angle.sin() }
        });
        let found = nearest_neighbours(bank.view(), bank.view(), 1, |query, row| query == row).unwrap();
        assert!(found.iter().enumerate().all(|(query, list)| list[0].0 == query && list.len() == 1));
        assert!(nearest_neighbours(bank.view(), bank.view(), 0, |_, _| true).is_err());
    }
}
