//! The cross entropy of momentum contrast over a long queue, in one pass over the similarities each way: a launch for each kind of
//! negatives, and one more forward.
//!
//! Letters: N batch, D embedding, n negatives.

mod kernels;

use burn::{
    backend::{
        Cube,
        autodiff::{
            checkpoint::base::Checkpointer,
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
    },
    tensor::{Bool, DType, Tensor},
};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use burn_std::BoolStore;
use cubecl::{
    ir::{ElemType, UIntKind},
    prelude::*,
};

use self::kernels::{Kept, Plane};
use super::{
    UNITS,
    tape::{self, Operand, Strategy, Tracked},
};

/// Cubes that keep a device busy, if there is that much to do.
const CUBES: usize = 512;
/// Vectors of a row that a unit goes through at least.
const VECTORS_A_UNIT: usize = 4;

/// Similarities of queries with negatives, `[N, n]`, and which of them do not count.
pub type Negative = (Tensor<2>, Option<Tensor<2, Bool>>);

/// What is asked of a loss.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// One over the temperature.
    pub sharpness: f64,
    /// Whether the first negatives are the keys of the batch, each query's own among them, which has no part in their mean.
    pub of_batch: bool,
    /// Similarities of each query that are kept, of the first negatives; 0 keeps none.
    pub keep: usize,
    /// Where to measure the mean similarity of the youngest and of the oldest of the first negatives.
    pub spans: Option<Spans>,
}

/// Two runs of slots of a ring.
#[derive(Debug, Clone, Copy)]
pub struct Spans {
    /// First slots of the youngest and of the oldest.
    pub starts: [usize; 2],
    /// Slots of each.
    pub length: usize,
    /// Slots of the ring.
    pub ring: usize,
}

/// [`contrast`]'s result.
#[derive(Debug)]
pub struct Contrast {
    /// Mean over the batch, `[1]`, on the tape.
    pub loss: Tensor<1>,
    /// `[5]`, off the tape: loss, top-1, top-5, mean similarity of the positives and of the first negatives, excluded ones
    /// included; with spans `[7]`: of the youngest and of the oldest, too.
    pub measures: Tensor<1>,
    /// Similarities of the positives, `[N, 1]`, off the tape.
    pub positives: Tensor<2>,
    /// The first similarities with the first negatives, `[N, at most keep]`, off the tape.
    pub kept: Tensor<2>,
}

/// `-log( exp(p·s) / (exp(p·s) + Σᵢ exp(nᵢ·s)) )`, with the similarity `p = q·k` of the positive and nᵢ of all negatives, and
/// sharpness s; the largest exponent is subtracted before. Excluded negatives have no part in it. A tie counts against the
/// positive. `None` on a device or in a precision without this kernel, or if k is on the tape.
///
/// # Shapes
/// - q and k `[N, D]`
///
/// # Panics
/// Unless there are negatives of one kind or of two, and the shapes fit.
pub fn contrast(q: &Tensor<2>, k: &Tensor<2>, negatives: &[Negative], wanted: Wanted) -> Option<Contrast> {
    assert!(matches!(negatives.len(), 1 | 2), "negatives of one kind or of two");
    let [rows, _] = q.dims();
    assert_eq!(q.dims(), k.dims(), "shapes of queries and keys");
    for (similarities, excluded) in negatives {
        assert_eq!(similarities.dims()[0], rows, "rows of similarities");
        assert!(excluded.as_ref().is_none_or(|mask| mask.dims() == similarities.dims()), "the shape of a mask");
    }
    let (q, k) = (tape::operand(q)?, tape::operand(k)?);
    if tape::records(tape::context(&[&k])) {
        return None;
    }
    let mut operands = vec![q];
    for (similarities, _) in negatives {
        operands.push(tape::operand(similarities)?);
    }
    let context = tape::context(&operands.iter().collect::<Vec<_>>());
    let mut tensors = operands.iter().map(|operand| into_contiguous(operand.tensor.clone().into_primitive()));
    let (q, k) = (tensors.next()?, into_contiguous(k.tensor.into_primitive()));
    let mut parts = Vec::new();
    for (similarities, (_, excluded)) in tensors.zip(negatives) {
        let excluded = match excluded {
            Some(excluded) => Some(Mask::of(excluded)?),
            None => None,
        };
        parts.push(Part::new(similarities, excluded));
    }
    if q.dtype != DType::F32 || k.dtype != DType::F32 || parts.iter().any(|part| part.similarities.dtype != DType::F32)
    {
        return None;
    }

    let Results { loss, measures, positives, kept, state } = forward(&q, &k, &parts, wanted);
    let state = State { parts, k, state, sharpness: wanted.sharpness as f32 };
    let loss = if tape::records(context) {
        let loss = match &operands[..] {
            [q, one] => finished([q, one], state, loss),
            [q, one, other] => finished([q, one, other], state, loss),
            _ => panic!("negatives of one kind or of two"),
        };
        tape::wrap(loss, context)
    } else {
        tape::constant(loss, context)
    };
    let constant = Default::default();
    Some(Contrast {
        loss,
        measures: tape::constant(measures, constant),
        positives: tape::constant(positives, constant),
        kept: tape::constant(kept, constant),
    })
}

/// The loss on the tape, behind these tensors.
fn finished<const N: usize>(operands: [&Operand; N], state: State, loss: CubeTensor) -> Tracked {
    let nodes = operands.map(|operand| operand.tensor.node());
    match ContrastBackward.prepare::<Strategy>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(state, loss),
        OpsKind::UnTracked(prepared) => prepared.finish(loss),
    }
}

/// A mask as the device has it: an integer an element.
#[derive(Debug, Clone)]
struct Mask {
    tensor: CubeTensor,
    element: ElemType,
}

impl Mask {
    fn of(mask: &Tensor<2, Bool>) -> Option<Self> {
        let (tensor, _) = tape::whole(mask)?;
        let element = ElemType::UInt(match tensor.dtype {
            DType::Bool(BoolStore::U8) => UIntKind::U8,
            DType::Bool(BoolStore::U32) => UIntKind::U32,
            _ => return None,
        });
        Some(Self { tensor, element })
    }
}

/// Negatives, and how their similarities are divided among cubes.
#[derive(Debug, Clone)]
struct Part {
    similarities: CubeTensor,
    excluded: Option<Mask>,
    vector: usize,
    /// Vectors of a row.
    width: usize,
    per_chunk: usize,
    chunks: usize,
}

impl Part {
    fn new(similarities: CubeTensor, excluded: Option<Mask>) -> Self {
        let [rows, columns] = tape::dims(&similarities);
        let vector = tape::vector(&[columns]);
        let width = columns / vector;
        let most = width.div_ceil(UNITS as usize * VECTORS_A_UNIT);
        let per_chunk = width.div_ceil(CUBES.div_ceil(rows).clamp(1, most));
        Self { similarities, excluded, vector, width, per_chunk, chunks: width.div_ceil(per_chunk) }
    }

    fn cubes(&self) -> CubeCount {
        CubeCount::Static(self.chunks as u32, tape::dims::<2>(&self.similarities)[0] as u32, 1)
    }

    /// The mask, or another buffer that is not read.
    fn excluded(&self, other: &CubeTensor) -> (BufferArg, ElemType) {
        match &self.excluded {
            Some(mask) => (tape::argument(&mask.tensor), mask.element),
            None => (tape::argument(other), ElemType::UInt(UIntKind::U32)),
        }
    }
}

struct Results {
    loss: CubeTensor,
    measures: CubeTensor,
    positives: CubeTensor,
    kept: CubeTensor,
    /// `[3, N]`.
    state: CubeTensor,
}

#[allow(unsafe_code)]
fn forward(q: &CubeTensor, k: &CubeTensor, parts: &[Part], wanted: Wanted) -> Results {
    let Wanted { sharpness, of_batch, keep, spans } = wanted;
    let [rows, dimension] = tape::dims(q);
    let columns = parts.first().map_or(0, |part| part.width * part.vector);
    let keep = keep.min(columns);
    let keep = if keep < columns { keep - keep % parts[0].vector } else { keep };
    let all = parts.iter().map(|part| part.chunks).sum();
    let f32s = |shape: &[usize]| tape::new(q, [shape.iter().product()], DType::F32);
    let (positives, planes) = (tape::new(q, [rows, 1], DType::F32), f32s(&[Plane::COUNT, all, rows]));
    let kept = tape::new(q, [rows, keep], DType::F32);
    let (loss, measures) = (f32s(&[1]), f32s(&[if spans.is_some() { 7 } else { 5 }]));
    let state = f32s(&[Kept::COUNT, rows]);
    let Spans { starts: [young, old], length, ring } = spans.unwrap_or(Spans { starts: [0, 0], length: 0, ring: 1 });
    let mut first = 0;
    for (number, part) in parts.iter().enumerate() {
        let (excluded, element) = part.excluded(&part.similarities);
        // What is not kept is not written.
        let keeps = number == 0 && keep > 0;
        let place = if keeps { tape::argument(&kept) } else { tape::argument(&f32s(&[part.vector])) };
        // SAFETY: every index is below the size of its buffer, by the division of the part.
        unsafe {
            kernels::measure::launch_unchecked(
                &q.client,
                part.cubes(),
                CubeDim::new_1d(UNITS),
                part.vector,
                tape::argument(q),
                tape::argument(k),
                tape::argument(&part.similarities),
                excluded,
                tape::argument(&positives),
                tape::argument(&planes),
                place,
                dimension,
                part.width,
                part.per_chunk,
                first,
                all,
                sharpness as f32,
                keep / part.vector,
                young,
                old,
                length,
                ring,
                part.excluded.is_some(),
                keeps,
                number == 0 && spans.is_some(),
                element,
            );
        }
        first += part.chunks;
    }
    let pairs = if of_batch { (rows * rows.saturating_sub(1)).max(1) } else { rows * columns };
    // SAFETY: rows and chunks are those of the planes.
    unsafe {
        kernels::finish::launch_unchecked(
            &q.client,
            CubeCount::Static(1, 1, 1),
            CubeDim::new_1d(UNITS),
            tape::argument(&planes),
            tape::argument(&positives),
            tape::argument(&loss),
            tape::argument(&measures),
            tape::argument(&state),
            rows,
            all,
            parts.first().map_or(0, |part| part.chunks),
            sharpness as f32,
            pairs as f32,
            (rows * length).max(1) as f32,
            of_batch,
            spans.is_some(),
        );
    }
    Results { loss, measures, positives, kept, state }
}

#[derive(Debug, Clone)]
struct State {
    parts: Vec<Part>,
    k: CubeTensor,
    state: CubeTensor,
    sharpness: f32,
}

#[derive(Debug)]
struct ContrastBackward;

impl<const N: usize> Backward<Cube, N> for ContrastBackward {
    type State = State;

    fn backward(self, ops: Ops<State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = into_contiguous(tape::gradient(grads, &ops));
        let parents = ops.parents.map(|p| p.map(|p| p.id));
        for (parent, result) in parents.into_iter().zip(ops.state.backward(&gradient)) {
            if let Some(parent) = parent {
                grads.register::<Cube>(parent, result);
            }
        }
    }
}

impl State {
    /// Gradients of the query, and of the similarities of each part.
    #[allow(unsafe_code)]
    fn backward(self, gradient: &CubeTensor) -> Vec<CubeTensor> {
        let Self { parts, k, state, sharpness } = self;
        let [_, dimension] = tape::dims(&k);
        let of_query = tape::new(&k, tape::dims::<2>(&k), DType::F32);
        let mut results = vec![of_query.clone()];
        for (number, part) in parts.into_iter().enumerate() {
            // In the place of the similarities, which are not needed again, if nothing else holds them.
            let in_place = part.similarities.handle.can_mut();
            let similarities = &part.similarities;
            let target = match in_place {
                true => similarities.clone(),
                false => tape::new(similarities, tape::dims::<2>(similarities), DType::F32),
            };
            let (excluded, element) = part.excluded(&state);
            // The gradient of the query is written with the first part; a buffer is bound in any case.
            let query = if number == 0 { of_query.clone() } else { tape::new(&k, [1], DType::F32) };
            // SAFETY: every index is below the size of its buffer, by the division of the part.
            unsafe {
                kernels::propagate::launch_unchecked(
                    &k.client,
                    part.cubes(),
                    CubeDim::new_1d(UNITS),
                    part.vector,
                    // Not twice the same buffer.
                    tape::argument(if in_place { &state } else { similarities }),
                    excluded,
                    tape::argument(&state),
                    tape::argument(gradient),
                    tape::argument(&k),
                    tape::argument(&target),
                    tape::argument(&query),
                    dimension,
                    part.width,
                    part.per_chunk,
                    sharpness,
                    in_place,
                    part.excluded.is_some(),
                    number == 0,
                    element,
                );
            }
            results.push(target);
        }
        results
    }
}
