//! The update rules on the CPU: one pass over the weights, the gradient and the state, in place and on all threads
//! (LARS needs two more for its norms).
//!
//! An element goes through the operations of [`Rule::by_tensors`] in the same order, with constants rounded to the
//! tensor's precision, so that both give the same numbers. Only the norms of LARS are summed in another order: in double
//! precision, by chunks of fixed length.

use burn::{backend::flex::FlexTensor, tensor::Tensor};

use super::{Rule, rule::Update};
use crate::cpu::{
    Real,
    flat::{pass_1, pass_2, pass_3, sum_of_squares, take, wrap},
    memory::Buffer,
    tape,
};

/// As [`Rule::update`]; `precision` must have found `T` for all tensors.
pub(super) fn update<T: Real>(rule: Rule, at: Update, slots: Vec<Tensor<1>>) -> (Tensor<1>, Vec<Tensor<1>>) {
    let (mut weight, gradient) = (take(at.weight), take(at.gradient));
    let g: &[T] = tape::values(&gradient);
    // The first step finds no state; zeros give the same numbers.
    let mut slots: Vec<FlexTensor> = slots.into_iter().map(take).collect();
    slots.resize_with(rule.slots().len(), || Buffer::<T>::zeroed(g.len()).into_tensor([g.len()]));
    let w: &mut [T] = weight.storage_mut();
    let (lr, decay) = (T::narrow(at.lr), T::narrow(at.decay));
    match (rule, &mut slots[..]) {
        (Rule::Sgd { .. }, []) => pass_1(w, g, move |w, g| w - (g + w * decay) * lr),
        (Rule::Sgd { momentum, nesterov: false }, [buffer]) => {
            let mu = T::narrow(momentum);
            pass_2(w, buffer.storage_mut(), g, move |w, b, g| {
                let b = b * mu + (g + w * decay);
                (w - b * lr, b)
            });
        }
        (Rule::Sgd { momentum, nesterov: true }, [buffer]) => {
            let mu = T::narrow(momentum);
            pass_2(w, buffer.storage_mut(), g, move |w, b, g| {
                let g = g + w * decay;
                let b = b * mu + g;
                (w - (g + b * mu) * lr, b)
            });
        }
        (Rule::Lars { momentum, trust }, [buffer]) => {
            let mu = T::narrow(momentum);
            let (decay, factor) = match at.vector {
                true => (T::zero(), T::one()),
                false => (decay, layer_rate(w, g, decay, trust)),
            };
            pass_2(w, buffer.storage_mut(), g, move |w, b, g| {
                let b = b * mu + (g + w * decay) * factor;
                (w - b * lr, b)
            });
        }
        (Rule::Adam { betas, eps }, [mean, square]) => {
            let adam = adam(betas, eps, at.lr, at.step);
            pass_3(w, mean.storage_mut(), square.storage_mut(), g, move |w, m, v, g| adam(w, m, v, g + w * decay));
        }
        (Rule::AdamW { betas, eps }, [mean, square]) => {
            let (adam, shrink) = (adam(betas, eps, at.lr, at.step), T::narrow(1.0 - at.lr * at.decay));
            pass_3(w, mean.storage_mut(), square.storage_mut(), g, move |w, m, v, g| adam(w * shrink, m, v, g));
        }
        (rule, slots) => unreachable!("{rule:?} with {} slots", slots.len()),
    }
    (wrap(weight), slots.into_iter().map(wrap).collect())
}

/// The new weight, mean and mean square of an element.
fn adam<T: Real>(
    (b1, b2): (f64, f64),
    eps: f64,
    lr: f64,
    step: u64,
) -> impl Fn(T, T, T, T) -> (T, T, T) + Copy + Send + Sync {
    let (correction1, correction2) = (1.0 - b1.powf(step as f64), 1.0 - b2.powf(step as f64));
    let (rate, root) = (T::narrow(lr / correction1), T::narrow(correction2.sqrt()));
    let [b1, rest1, b2, rest2, eps] = [b1, 1.0 - b1, b2, 1.0 - b2, eps].map(T::narrow);
    move |w, m, v, g| {
        let m = m * b1 + g * rest1;
        let v = v * b2 + g * g * rest2;
        (w - m / (v.sqrt() / root + eps) * rate, m, v)
    }
}

/// LARS's factor of a layer: `trust·|w| / |g + λw|`, or 1 where a norm is 0.
fn layer_rate<T: Real>(w: &[T], g: &[T], decay: T, trust: f64) -> T {
    let weight = sum_of_squares(w, w, |w, _| w).sqrt();
    let update = sum_of_squares(w, g, |w, g| g + w * decay).sqrt();
    if weight == 0.0 || update == 0.0 { T::one() } else { T::narrow(weight * trust / update) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    const RULES: [Rule; 6] = [
        Rule::Sgd { momentum: 0.0, nesterov: false },
        Rule::SGD,
        Rule::Sgd { momentum: 0.8, nesterov: true },
        Rule::ADAM,
        Rule::ADAM_W,
        Rule::LARS,
    ];

    fn numbers<T: Real>(n: usize, seed: usize) -> Tensor<1> {
        let value = |i: usize| ((i + seed).wrapping_mul(2_654_435_761) % 20_011) as f64 / 10_000.0 - 1.0;
        let values: Vec<T> = (0..n).map(value).map(T::narrow).collect();
        Tensor::from_data(TensorData::new(values, [n]), (&Device::flex(), T::dtype()))
    }

    /// Weight and state, one after the other, after three updates.
    fn run<T: Real>(n: usize, decay: f64, vector: bool, update: impl Step) -> Vec<T> {
        let (mut weight, mut slots) = (numbers::<T>(n, 7), Vec::new());
        for step in 1..=3 {
            let gradient = numbers::<T>(n, 100 * step);
            let at = Update { weight, gradient, lr: 0.01, decay, step: step as u64, vector };
            (weight, slots) = update(at, slots);
        }
        let tensors = [weight].into_iter().chain(slots);
        tensors.flat_map(|tensor| tensor.into_data().try_to_vec::<T>().unwrap()).collect()
    }

    trait Step: Fn(Update, Vec<Tensor<1>>) -> (Tensor<1>, Vec<Tensor<1>>) {}
    impl<F: Fn(Update, Vec<Tensor<1>>) -> (Tensor<1>, Vec<Tensor<1>>)> Step for F {}

    /// The same bits for all rules but LARS, whose norms are summed in another order.
    fn assert_as_by_tensors<T: Real>(lars: f64) {
        for rule in RULES {
            for (n, decay, vector) in [(1, 1e-2, false), (1_003, 0.0, false), (40_007, 1e-2, false), (513, 1e-2, true)]
            {
                let fast = run::<T>(n, decay, vector, |at, slots| update::<T>(rule, at, slots));
                let generic = run::<T>(n, decay, vector, |at, slots| rule.by_tensors(at, slots));
                assert_eq!(fast.len(), n * (1 + rule.slots().len()), "{rule:?}, {n}");
                let bound = if matches!(rule, Rule::Lars { .. }) { lars } else { 0.0 };
                for (i, (a, b)) in fast.iter().zip(&generic).enumerate() {
                    let (a, b) = (a.wide(), b.wide());
                    assert!((a - b).abs() <= bound * (1.0 + b.abs()), "{rule:?}, {n}, {vector}: {a} and {b} at {i}");
                }
            }
        }
    }

    #[test]
    fn in_place_rules_give_the_numbers_of_tensor_operations() {
        assert_as_by_tensors::<f32>(1e-6);
        assert_as_by_tensors::<f64>(1e-14);
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let bits = |threads| -> Vec<Vec<u32>> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let one = |rule: Rule| run::<f32>(150_001, 1e-2, false, |at, slots| update::<f32>(rule, at, slots));
            pool.install(|| RULES.map(one).iter().map(|v| v.iter().map(|x| x.to_bits()).collect()).collect())
        };
        let one = bits(1);
        assert!(one == bits(2) && one == bits(5));
    }

    #[test]
    fn a_tensor_in_use_elsewhere_is_copied() {
        let (weight, gradient) = (numbers::<f32>(100, 1), numbers::<f32>(100, 2));
        let (before, kept) = (weight.to_data(), weight.clone());
        let at = Update { weight, gradient, lr: 0.1, decay: 0.0, step: 1, vector: false };
        let (updated, _) = update::<f32>(Rule::ADAM, at, Vec::new());
        assert_eq!(kept.into_data(), before);
        assert_ne!(updated.into_data(), before);
    }
}
