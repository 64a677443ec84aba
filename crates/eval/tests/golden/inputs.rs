//! The inputs of `golden/make_stats.py`, made again by the same formulas from SplitMix64.

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

pub(crate) fn words(case: u64, stream: u64, n: usize) -> Vec<u64> {
    let key = mix(case + 1);
    (0..n as u64).map(|i| mix(key.wrapping_add((i + (stream << 40) + 1).wrapping_mul(GAMMA)))).collect()
}

pub(crate) fn uniform(case: u64, stream: u64, n: usize) -> Vec<f64> {
    words(case, stream, n).into_iter().map(|word| (word >> 11) as f64 * 2.0_f64.powi(-53)).collect()
}

pub(crate) struct Case {
    pub(crate) labels: Vec<bool>,
    pub(crate) scores: Vec<f64>,
    pub(crate) weights: Option<Vec<f64>>,
}

pub(crate) fn case(k: u64) -> Case {
    let head = words(k, 0, 5);
    let most = [2, 3, 5, 9, 30, 100, 300, 1000, 3000, 10_000][(k % 10) as usize];
    let n = if k == 999 { 10_000 } else { (2 + head[0] % (most - 1)) as usize };
    let levels = [2.0, 3.0, 10.0, 100.0, 10_000.0, 2.0_f64.powi(53)][(head[1] % 6) as usize];
    let prevalence = [0.5, 0.2, 0.05, 0.9][(head[2] % 4) as usize];
    let signal = [0.0, 0.3, 0.6, -0.3][(head[3] % 4) as usize];
    let u = uniform(k, 2, n);
    let mut labels: Vec<bool> =
        uniform(k, 1, n).iter().zip(&u).map(|(draw, u)| *draw < prevalence + signal * (u - 0.5)).collect();
    (labels[0], labels[1]) = (true, false);
    let scores = u.iter().map(|u| (u * levels).floor() / levels).collect();
    let quarter = words(k, 3, n).into_iter().map(|word| word % 4);
    let mut weights: Option<Vec<f64>> = match head[4] % 3 {
        1 => Some(quarter.map(|quarter| quarter as f64).collect()),
        2 => Some(quarter.zip(uniform(k, 4, n)).map(|(q, u)| if q == 0 { 0.0 } else { u }).collect()),
        _ => None,
    };
    if let Some(weights) = &mut weights {
        weights[..2].fill(1.0);
    }
    Case { labels, scores, weights }
}

/// Labels [n], patients [n] of one to three rows.
pub(crate) fn labels_and_patients(k: u64, n: usize) -> (Vec<bool>, Vec<usize>) {
    let mut labels: Vec<bool> = uniform(k, 1, n).into_iter().map(|u| u < 0.3).collect();
    (labels[0], labels[1]) = (true, false);
    let mut patients = Vec::new();
    for (patient, word) in words(k, 5, n).into_iter().enumerate() {
        patients.extend(std::iter::repeat_n(patient, 1 + (word % 3) as usize));
    }
    patients.truncate(n);
    (labels, patients)
}

/// Scores in steps of 1/64: stream `first_stream + d` for draw d.
pub(crate) fn draws(k: u64, labels: &[bool], first_stream: u64, number: usize, strength: f64) -> Vec<Vec<f64>> {
    let one = |draw: usize| {
        let u = uniform(k, first_stream + draw as u64, labels.len());
        let shift = |label: &bool| if *label { strength } else { 0.0 };
        u.iter().zip(labels).map(|(u, label)| ((u + shift(label)) * 64.0).floor() / 64.0).collect()
    };
    (0..number).map(one).collect()
}

pub(crate) fn resamples(k: u64, replicates: usize, units: usize) -> Vec<Vec<usize>> {
    let flat = words(k, 9, replicates * units);
    flat.chunks(units).map(|chunk| chunk.iter().map(|word| (word % units as u64) as usize).collect()).collect()
}
