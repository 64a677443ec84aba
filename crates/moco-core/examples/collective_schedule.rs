//! What a step on many ranks costs: the schedule of its collectives, simulated round by round.
//!
//!     cargo run --release -p moco-core --example collective_schedule -- STEP_MS PARAMETERS RUNNING IMAGES RANKS RANKS_PER_MACHINE
//!
//! `STEP_MS`: a step of one rank alone, with its part of the batch, of `IMAGES`; `PARAMETERS` of the network, with its head;
//! `RUNNING` values of both encoders. Links and
//! copies are constants below, with what they stand for. Each line: ranks, step, share of it in communication, images a second
//! as a multiple of one rank's. docs/scale.md has tables made by it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

/// Seconds from a message's start to its end, beside its bytes: of two machines (100 Gbit/s Ethernet or InfiniBand through a
/// host's MPI), and of two processes of one.
const LATENCY: [f64; 2] = [5e-6, 1e-6];
/// Bytes a second into and out of a machine, each way: 100 Gbit/s, of which 80 % are used.
const NETWORK: f64 = 1e10;
/// Bytes a second that all processes of a machine copy between them: two copies of a message at 20 GB/s and core, four at once.
const MEMORY: f64 = 4e10;
/// Bytes a second between a GPU and the host's memory that is not pinned.
const STAGING: f64 = 6e9;
/// Numbers a second that a rank adds: one core, in double precision.
const SUMS: f64 = 8e8;
/// Standard deviation of a rank's own time, as a share of it: whoever is last is waited for.
const SPREAD: f64 = 0.02;
/// Numbers of a key.
const KEY: f64 = 128.0;

/// Where ranks are.
struct Cluster {
    ranks: usize,
    each: usize,
}

impl Cluster {
    /// Seconds of a round in which rank `r` sends `bytes` to rank `r + distance`.
    fn round(&self, distance: usize, bytes: f64) -> f64 {
        let machines = self.ranks.div_ceil(self.each);
        let (mut out, mut within) = (vec![0.0; machines], vec![0.0; machines]);
        for rank in 0..self.ranks {
            let (from, to) = (rank / self.each, (rank + distance) % self.ranks / self.each);
            if from == to { within[from] += bytes } else { out[from] += bytes }
        }
        let worst = |loads: &[f64]| loads.iter().copied().fold(0.0, f64::max);
        let latency = if worst(&out) > 0.0 { LATENCY[0] } else { LATENCY[1] };
        latency + (worst(&out) / NETWORK).max(worst(&within) / MEMORY)
    }

    /// Every rank gives every other another `bytes`: as many rounds as there are others, each with another partner.
    fn exchange(&self, bytes: f64) -> f64 {
        (1..self.ranks).map(|distance| self.round(distance, bytes)).sum()
    }

    /// Every rank gets `bytes` of every other: small ones by doubling distances, large ones around a ring.
    fn gather(&self, bytes: f64) -> f64 {
        if bytes * self.ranks as f64 > 80_000.0 {
            return (1..self.ranks).map(|_| self.round(1, bytes)).sum();
        }
        let rounds = (0..).map(|k| 1_usize << k).take_while(|&distance| distance < self.ranks);
        rounds.map(|distance| self.round(distance, bytes * distance.min(self.ranks - distance) as f64)).sum()
    }

    /// Seconds of what a step exchanges, each part by name.
    fn step(&self, parameters: f64, running: f64, images: f64) -> [(&'static str, f64); 5] {
        if self.ranks == 1 {
            return [
                ("keys", 0.0),
                ("gradients", 0.0),
                ("staging and sums", 0.0),
                ("statistics", 0.0),
                ("the rest", 0.0),
            ];
        }
        let piece = 4.0 * parameters / self.ranks as f64;
        [
            ("keys", self.gather(images * (KEY + 1.0) * 4.0)),
            ("gradients", self.exchange(piece) + self.gather(piece)),
            ("staging and sums", 2.0 * 4.0 * parameters / STAGING + parameters / SUMS),
            ("statistics", 2.0 * self.exchange(running * 8.0 / self.ranks as f64)), // summed as gradients are
            // Measurements (summed: an exchange and a gathering) and whether to go on.
            ("the rest", self.exchange(56.0) + self.gather(56.0) + self.gather(1.0)),
        ]
    }

    /// How much longer than the mean the slowest of the ranks takes: the expected maximum of normal numbers.
    fn slowest(&self) -> f64 {
        let n = self.ranks as f64;
        if self.ranks == 1 { 0.0 } else { SPREAD * (2.0 * n.ln()).sqrt() }
    }
}

fn main() {
    let numbers: Vec<f64> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [step_ms, parameters, running, images, ranks, each] = numbers[..] else {
        eprintln!(
            "expected STEP_MS PARAMETERS RUNNING IMAGES RANKS RANKS_PER_MACHINE, such as 382 11.5e6 19200 256 64 8"
        );
        std::process::exit(2);
    };
    let mut size = 1;
    while size <= ranks as usize {
        let cluster = Cluster { ranks: size, each: each as usize };
        let parts = cluster.step(parameters, running, images);
        let exchanged: f64 = parts.iter().map(|(_, seconds)| seconds).sum();
        let alone = step_ms / 1e3;
        let step = alone * (1.0 + cluster.slowest()) + exchanged;
        let parts: Vec<String> = parts.iter().map(|(name, s)| format!("{name} {:.2}", s * 1e3)).collect();
        println!(
            "{size:4} ranks: step {:7.1} ms, communication {:4.1} %, speed x {:5.1} ({} ms)",
            step * 1e3,
            100.0 * exchanged / step,
            size as f64 * alone / step,
            parts.join(", ")
        );
        size *= 2;
    }
}
