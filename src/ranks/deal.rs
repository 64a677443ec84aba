//! Which of several independent pieces of work each rank does.

/// The rank of each piece, by what the pieces cost: the most costly ones first, each to the rank that has the least to do so far.
#[must_use]
pub(crate) fn dealt(costs: &[f64], ranks: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|&a, &b| costs[b].total_cmp(&costs[a])); // stable: equal pieces in their order
    let mut loads = vec![0.0_f64; ranks.max(1)];
    let mut of = vec![0; costs.len()];
    for piece in order {
        let rank = (0..loads.len()).min_by(|&a, &b| loads[a].total_cmp(&loads[b])).unwrap_or(0);
        (of[piece], loads[rank]) = (rank, loads[rank] + costs[piece]);
    }
    of
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_dealt_by_what_it_costs() {
        assert_eq!(dealt(&[1.0; 5], 2), [0, 1, 0, 1, 0]);
        // A large piece alone, the small ones together.
        assert_eq!(dealt(&[1.0, 1.0, 1.0, 9.0, 1.0], 2), [1, 1, 1, 0, 1]);
        // As many fractions as ranks: not all of the largest to one.
        let of = dealt(&[1.0, 2.0, 4.0, 1.0, 2.0, 4.0, 1.0, 2.0, 4.0], 3);
        assert_eq!([of[2], of[5], of[8]], [0, 1, 2]);
        assert_eq!((dealt(&[], 3).len(), dealt(&[2.0, 1.0], 1)), (0, vec![0, 0]));
    }
}
