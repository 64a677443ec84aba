//! L-BFGS for smooth convex functions, with a preconditioner as its initial approximation of the inverse Hessian.
//!
//! Nocedal and Wright, Numerical Optimization (2nd ed.), algorithm 7.4. The line search uses that the slope of a convex
//! function never decreases: a step is accepted once the slope has shrunk by a tenth, and two points with slopes of
//! opposite sign enclose such a step.

use std::collections::VecDeque;

use super::cholesky::dot;

/// Number of pairs of step and change of gradient that are kept.
const MEMORY: usize = 20;
/// Step lengths tried along one line before the pairs are discarded.
const TRIES: usize = 50;

/// The point where the search ended.
#[derive(Debug, Clone)]
pub(super) struct Minimum {
    pub(super) at: Vec<f64>,
    /// Largest absolute entry of the gradient there.
    pub(super) gradient: f64,
    /// Number of evaluations of the function.
    pub(super) evaluations: usize,
}

/// Minimises `function` (value and gradient) from `start` until no entry of the gradient exceeds `tolerance` or
/// `max_evaluations` are spent; the caller must check [`Minimum::gradient`]. `precondition` multiplies by a symmetric
/// positive definite approximation of the inverse Hessian.
pub(super) fn minimize(
    function: impl Fn(&[f64]) -> (f64, Vec<f64>),
    precondition: impl Fn(&[f64]) -> Vec<f64>,
    start: Vec<f64>,
    tolerance: f64,
    max_evaluations: usize,
) -> Minimum {
    let mut at = start;
    let (mut value, mut gradient) = function(&at);
    let mut evaluations = 1;
    let mut memory: VecDeque<Pair> = VecDeque::with_capacity(MEMORY);
    while largest(&gradient) > tolerance && evaluations < max_evaluations {
        let direction = descent(&gradient, &memory, &precondition);
        let slope = dot(&gradient, &direction);
        let line = Line { function: &function, from: &at, direction: &direction, value, slope };
        let Some(step) = line.search(&mut evaluations) else {
            if memory.is_empty() {
                break; // the gradient cannot become smaller because of rounding
            }
            memory.clear();
            continue;
        };
        let change = minus(&step.gradient, &gradient);
        let moved = minus(&step.at, &at);
        let curvature = dot(&moved, &change);
        if curvature > 0.0 {
            if memory.len() == MEMORY {
                memory.pop_front();
            }
            memory.push_back(Pair { moved, change, curvature });
        }
        Step { at, value, gradient } = step;
    }
    Minimum { gradient: largest(&gradient), at, evaluations }
}

struct Pair {
    moved: Vec<f64>,
    change: Vec<f64>,
    /// moved · change, above zero.
    curvature: f64,
}

struct Step {
    at: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

/// The two-loop recursion: minus the approximate inverse Hessian times the gradient.
fn descent(gradient: &[f64], memory: &VecDeque<Pair>, precondition: &impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let mut q = gradient.to_vec();
    let mut weights = Vec::with_capacity(memory.len());
    for pair in memory.iter().rev() {
        let weight = dot(&pair.moved, &q) / pair.curvature;
        add(&mut q, &pair.change, -weight);
        weights.push(weight);
    }
    let mut direction = precondition(&q);
    if let Some(last) = memory.back() {
        // Scales the preconditioner to the curvature of the last step (equation 7.20 of the book).
        let scale = last.curvature / dot(&last.change, &precondition(&last.change));
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for (pair, weight) in memory.iter().zip(weights.iter().rev()) {
        let other = dot(&pair.change, &direction) / pair.curvature;
        add(&mut direction, &pair.moved, weight - other);
    }
    direction.iter_mut().for_each(|d| *d = -*d);
    direction
}

struct Line<'a, F> {
    function: &'a F,
    from: &'a [f64],
    direction: &'a [f64],
    value: f64,
    slope: f64,
}

impl<F: Fn(&[f64]) -> (f64, Vec<f64>)> Line<'_, F> {
    fn search(&self, evaluations: &mut usize) -> Option<Step> {
        if self.slope.is_nan() || self.slope >= 0.0 {
            return None;
        }
        // Near the minimum, rounding of the value hides the decrease; the slope is still accurate.
        let rounding = 1e-12 * self.value.abs();
        let (mut short, mut long, mut length) = (0.0, f64::INFINITY, 1.0);
        for _ in 0..TRIES {
            let mut at = self.from.to_vec();
            add(&mut at, self.direction, length);
            let (value, gradient) = (self.function)(&at);
            *evaluations += 1;
            let slope = dot(&gradient, self.direction);
            if value.is_nan() || value > self.value + 1e-4 * length * self.slope + rounding {
                long = length;
            } else if slope.abs() <= 0.9 * self.slope.abs() {
                return Some(Step { at, value, gradient });
            } else if slope < 0.0 {
                short = length;
            } else {
                long = length;
            }
            length = if long.is_finite() { 0.5 * (short + long) } else { 2.0 * length };
        }
        None
    }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| if value.is_nan() { f64::NAN } else { most.max(value.abs()) })
}

fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn add(to: &mut [f64], direction: &[f64], length: f64) {
    to.iter_mut().zip(direction).for_each(|(to, d)| *to += length * d);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sum of c_i (x_i - i)^4 + (x_i - i)^2 over scales from 1 to 10^6: badly scaled, convex, minimum known.
    #[test]
    fn finds_the_minimum_of_a_badly_scaled_function() {
        let function = |x: &[f64]| {
            let mut gradient = vec![0.0; x.len()];
            let mut value = 0.0;
            for (i, x) in x.iter().enumerate() {
                let (c, d) = (10f64.powi(i as i32), x - i as f64);
                value += c * (d.powi(4) + d.powi(2));
                gradient[i] = c * (4.0 * d.powi(3) + 2.0 * d);
            }
            (value, gradient)
        };
        let diagonal = |g: &[f64]| g.iter().enumerate().map(|(i, g)| g / (2.0 * 10f64.powi(i as i32))).collect();
        let plain = |g: &[f64]| g.to_vec();
        let with = minimize(function, diagonal, vec![-3.0; 7], 1e-9, 2000);
        let without = minimize(function, plain, vec![-3.0; 7], 1e-9, 2000);
        for minimum in [&with, &without] {
            assert!(minimum.gradient <= 1e-9, "{minimum:?}");
            // The gradient is at least 2 (x_i - i), so half the gradient's tolerance bounds the distance.
            assert!(minimum.at.iter().enumerate().all(|(i, x)| (x - i as f64).abs() <= 1e-9), "{minimum:?}");
        }
        assert!(with.evaluations < without.evaluations, "{} {}", with.evaluations, without.evaluations);
    }
}
