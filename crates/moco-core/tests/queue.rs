//! The queue against a model: a list that forgets its oldest entries.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;

use burn::tensor::{Device, Tensor, TensorData};
use moco_core::{Queue, QueueInit};
use proptest::prelude::*;

const D: usize = 3;

/// Rows that tell which key they are; `first` numbers them.
fn keys(first: usize, n: usize) -> (Tensor<2>, Vec<u32>, Vec<Vec<f32>>) {
    let rows: Vec<Vec<f32>> = (first..first + n).map(|i| (0..D).map(|d| (i * 10 + d) as f32).collect()).collect();
    let patients = (first..first + n).map(|i| (i % 5) as u32).collect();
    (Tensor::from_data(TensorData::new(rows.concat(), [n, D]), &Device::flex()), patients, rows)
}

fn rows(tensor: Tensor<2>) -> Vec<Vec<f32>> {
    let values = tensor.into_data().try_to_vec::<f32>().unwrap();
    values.chunks(D).map(<[f32]>::to_vec).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_sequence_of_batches_is_first_in_first_out(k in 1_usize..12, batches in prop::collection::vec(1_usize..30, 0..8), random: bool) {
        let init = if random { QueueInit::Random } else { QueueInit::Masked };
        let mut queue = Queue::new(k, D, init, 7, &Device::flex());
        let mut model: VecDeque<(Vec<f32>, u32, u64)> = VecDeque::new();
        let first_rows = rows(queue.negatives(&[], false).rows);
        prop_assert_eq!(first_rows.len(), if random { k } else { 0 });
        let mut total = 0;
        for (step, n) in batches.into_iter().enumerate() {
            let (tensor, patients, values) = keys(total, n);
            queue.enqueue(tensor, &patients, step as u64);
            total += n;
            model.extend(values.into_iter().zip(patients).map(|(row, patient)| (row, patient, step as u64)));
            model.drain(..model.len().saturating_sub(k));

            prop_assert_eq!(queue.written(), model.len());
            prop_assert_eq!(queue.filled(), if random { k } else { model.len() });
            prop_assert_eq!(rows(queue.newest(k)), model.iter().map(|m| m.0.clone()).collect::<Vec<_>>());
            let newest_two: Vec<_> = model.iter().rev().take(2).rev().map(|m| m.0.clone()).collect();
            prop_assert_eq!(rows(queue.newest(2)), newest_two);
            let ages: f64 = model.iter().map(|m| (step as u64 - m.2) as f64).sum();
            prop_assert_eq!(queue.mean_age(step as u64), Some(ages / model.len() as f64));

            // Masking: the excluded rows of a query are exactly its own patient's keys.
            let negatives = queue.negatives(&[3, 99], true);
            let all = rows(negatives.rows);
            let mut own: Vec<_> = model.iter().filter(|m| m.1 == 3).map(|m| m.0.clone()).collect();
            let excluded: Vec<bool> = match negatives.excluded {
                Some(mask) => mask.into_data().iter::<bool>().collect(),
                None => vec![false; 2 * all.len()],
            };
            let mut found: Vec<_> = (0..all.len()).filter(|&i| excluded[i]).map(|i| all[i].clone()).collect();
            prop_assert!(excluded[all.len()..].iter().all(|&e| !e), "patient 99 has no key");
            own.sort_by(|a, b| a[0].total_cmp(&b[0]));
            found.sort_by(|a, b| a[0].total_cmp(&b[0]));
            prop_assert_eq!(found, own);
        }

        let mut restored = Queue::new(k, D, init, 8, &Device::flex());
        restored.load_record(&queue.to_record().unwrap()).unwrap();
        let (tensor, patients, _) = keys(total, 2);
        queue.enqueue(tensor.clone(), &patients, 99);
        restored.enqueue(tensor, &patients, 99);
        prop_assert_eq!(queue.to_record().unwrap(), restored.to_record().unwrap());
    }
}

#[test]
fn random_rows_have_unit_length_and_follow_the_seed() {
    let make = |seed| rows(Queue::new(50, D, QueueInit::Random, seed, &Device::flex()).negatives(&[], false).rows);
    for row in make(1) {
        // f32 rounding of a unit vector.
        assert!((row.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-6);
    }
    assert_eq!(make(1), make(1));
    assert_ne!(make(1), make(2));
}

#[test]
fn a_record_that_does_not_fit_is_refused_and_changes_nothing() {
    let mut queue = Queue::new(4, D, QueueInit::Random, 0, &Device::flex());
    let before = queue.to_record().unwrap();
    let other = Queue::new(5, D, QueueInit::Random, 0, &Device::flex()).to_record().unwrap();
    let mut pointer = before.clone();
    pointer.insert("queue_ptr".into(), TensorData::new(vec![4_i64], [1]));
    let mut negative = before.clone();
    negative.insert("filled".into(), TensorData::new(vec![-1_i64], [1]));
    let mut missing = before.clone();
    missing.remove("patients");
    for (bad, message) in
        [(other, "[5, 3]"), (pointer, "queue_ptr: 4"), (negative, "filled: -1"), (missing, "patients")]
    {
        let error = queue.load_record(&bad).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        assert_eq!(queue.to_record().unwrap(), before);
    }
}
