//! What the collectives of a step take between the ranks that are there, for the model of `collective_schedule`.
//!
//!     cargo build --release --features mpi --example collective_time
//!     mpirun -n 2 target/release/examples/collective_time [PARAMETERS] [ROUNDS]
//!
//! Each line: what is exchanged, and the median and the least of its times over the rounds, from when all ranks are there. Sums
//! are checked on the way. docs/scale.md has tables made by it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::time::{Duration, Instant};

use moco_core::{Collective, Mpi, Result, sum};

fn main() -> Result<()> {
    let numbers: Vec<f64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let parameters = numbers.first().map_or(11_500_000, |&n| n as usize);
    let rounds = numbers.get(1).map_or(25, |&n| n as usize).max(1);
    let joined = Mpi::join(Duration::from_secs(60), |reason| eprintln!("{reason}"))?;
    let ranks = &*joined.ranks;
    let (rank, size) = (ranks.rank(), ranks.size());

    let mut values = vec![0.0_f32; parameters];
    time(ranks, rounds, "gradients, a sum", || {
        values.iter_mut().enumerate().for_each(|(i, value)| *value = (i % 1000 + rank) as f32);
        let begun = Instant::now();
        sum(ranks, &mut values, "gradients")?;
        Ok(begun.elapsed())
    })?;
    let expected = |i: usize| (i % 1000 * size + size * (size - 1) / 2) as f32; // whole numbers, exact in f32
    assert!(values.iter().enumerate().all(|(i, value)| *value == expected(i)), "a sum is wrong");

    let keys = vec![0_u8; 64 * (128 + 1) * 4];
    time(ranks, rounds, "keys of 64 images a rank", || {
        let begun = Instant::now();
        ranks.gather(&keys, "keys")?;
        Ok(begun.elapsed())
    })?;
    let mut running = vec![0.0_f64; 9_600];
    time(ranks, rounds, "running statistics of an encoder, a sum", || {
        let begun = Instant::now();
        sum(ranks, &mut running, "running statistics")?;
        Ok(begun.elapsed())
    })?;
    time(ranks, rounds, "a barrier", || {
        let begun = Instant::now();
        ranks.barrier("a barrier", false)?;
        Ok(begun.elapsed())
    })
}

/// Times something that all ranks do together, each round once all are there.
fn time(ranks: &dyn Collective, rounds: usize, name: &str, mut work: impl FnMut() -> Result<Duration>) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        ranks.barrier("the next round", false)?;
        times.push(work()?.as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    if ranks.rank() == 0 {
        println!("{name}: median {:.3} ms, least {:.3} ms", times[rounds / 2], times[0]);
    }
    Ok(())
}
