//! Uses moco-cxr as a dependency: queue, loss and AUC on values that can be worked out by hand.

use moco_cxr::{
    burn::tensor::{Device, Tensor, TensorData},
    eval::auroc,
    moco_core::{Negatives, Queue, QueueInit, info_nce},
};

fn rows(values: &[[f32; 2]], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.concat(), [values.len(), 2]), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn main() -> Result<(), moco_cxr::Error> {
    let device = Device::flex();
    let (east, north, south) = ([1.0, 0.0], [0.0, 1.0], [0.0, -1.0]);

    // A queue of three starts empty and drops the oldest of four keys.
    let mut queue = Queue::new(3, 2, QueueInit::Masked, 0, &device);
    assert_eq!((queue.size(), queue.filled()), (3, 0));
    queue.enqueue(rows(&[east, north], &device), &[7, 8], 0);
    queue.enqueue(rows(&[south, north], &device), &[9, 7], 1);
    assert_eq!(queue.filled(), 3);
    assert_eq!(values(queue.newest(3)), [north, south, north].concat());

    // Parallel embeddings cannot distinguish the key from K negatives: the loss is ln(1 + K).
    let device = device.autodiff();
    let same = |n| rows(&vec![east; n], &device.clone().inner());
    let q = rows(&[east, east], &device).require_grad();
    let guess = info_nce(q, same(2), Negatives { rows: same(5), excluded: None, batch: None }, 0.2);
    close(values(guess.loss.inner())[0], 6.0_f64.ln());

    // q·k₊ = 1 and two negatives at right angles, T = 1: p = e / (e + 2), the loss is -ln p, its gradient (p - 1, 0).
    let q = rows(&[east], &device).require_grad();
    let negatives = rows(&[north, south], &device.clone().inner());
    let loss = info_nce(q.clone(), same(1), Negatives { rows: negatives, excluded: None, batch: None }, 1.0).loss;
    let p = 1.0_f64.exp() / (1.0_f64.exp() + 2.0);
    close(values(loss.clone().inner())[0], -p.ln());
    let gradients = loss.backward();
    let gradient = values(q.grad(&gradients).expect("q is on the tape"));
    close(gradient[0], p - 1.0);
    close(gradient[1], 0.0);

    // Three of four pairs are ordered correctly, one is a tie: 3.5 / 4.
    let auc = auroc(&[true, false, true, false], &[0.9, 0.1, 0.4, 0.4], None)?;
    assert_eq!(auc, 0.875);
    println!("queue, loss and AUC match the values worked out by hand");
    Ok(())
}

/// Tolerance: a few f32 operations, each with a relative error of at most 6e-8.
fn close(found: f32, expected: f64) {
    assert!((f64::from(found) - expected).abs() < 1e-6, "{found}, expected {expected}");
}
