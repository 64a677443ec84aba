//! The plan of a convolution: what is computed, and by which of cuDNN's engines.

use super::{
    descriptor::{
        DataType, Descriptor, Float, Handle, HeuristicMode, Integer, Mode, NumericalNote, Pointer, Reference, kind,
    },
    library::{Cudnn, Object},
    problem::{Map, Problem},
};
use crate::gpu::conv::Pass;

/// `CUDNN_DATA_FLOAT`, of sums; `CUDNN_CROSS_CORRELATION`; `CUDNN_HEUR_MODE_A`.
const F32: DataType = DataType(0);
const CROSS_CORRELATION: Mode = Mode(1);
const HEURISTIC: HeuristicMode = HeuristicMode(3);
/// `CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC`, and `..._DOWN_CONVERT_INPUTS`, of engines that round f32 further than TF32.
const NONDETERMINISTIC: i32 = 4;
const DOWN_CONVERT_INPUTS: i32 = 1;
/// Names of the tensors.
const X: i64 = 1;
const FILTER: i64 = 2;
const Y: i64 = 3;
/// Every buffer begins at such a number of bytes; CubeCL's begin at 256.
const ALIGNED: i64 = 16;
/// The largest workspace of a convolution, in bytes.
const WORKSPACE: i64 = 1 << 30;
/// Engines that are looked at, and notes of one. An H200 named up to forty engines, and version 9 knows ten notes.
const ENGINES: usize = 64;
const NOTES: usize = 32;

/// How a convolution is computed.
pub(super) struct Plan {
    plan: Descriptor,
    /// What the plan was made of, which cuDNN may go on using.
    _parts: Vec<Descriptor>,
    /// Names of the operands and of the result.
    names: [Integer; 3],
    /// Bytes of workspace.
    pub(super) space: usize,
}

impl Plan {
    /// The first plan, by cuDNN's own estimate, that repeats its bits, as other kernels do, and that the device takes.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn new(cudnn: &'static Cudnn, handle: Object, problem: &Problem) -> Result<Self, String> {
        let describe = |kind| Descriptor::new(cudnn, kind);
        let (graph, mut parts) = graph(cudnn, handle, problem)?;
        let heuristic = describe(kind::HEURISTIC)?.with(201, &[graph.reference()])?.with(200, &[HEURISTIC])?;
        let heuristic = heuristic.finished()?;
        let configs = (0..ENGINES).map(|_| describe(kind::ENGINE_CONFIG)).collect::<Result<Vec<_>, _>>()?;
        let mut found: Vec<Reference> = configs.iter().map(Descriptor::reference).collect();
        let count = heuristic.get(202, &mut found)?;
        let mut refusal = "no algorithm that repeats its bits within 1 GiB".to_owned();
        for config in configs.into_iter().take(count) {
            // The heuristic may name what does not run.
            match planned(cudnn, handle, problem, &config) {
                Ok(Some((plan, space))) => {
                    let names = match problem.pass {
                        Pass::Forward => [X, FILTER, Y],
                        Pass::InputGrad => [FILTER, Y, X],
                        Pass::WeightGrad => [X, Y, FILTER],
                    };
                    parts.extend([graph, heuristic, config]);
                    return Ok(Self { plan, _parts: parts, names: names.map(Integer), space });
                }
                Ok(None) => {}
                Err(reason) => refusal = reason,
            }
        }
        Err(refusal)
    }

    /// Asks the stream of a handle for the convolution of two operands into the third, with the workspace, in that order.
    ///
    /// # Safety
    /// The buffers are of the device, as large as the problem says, and outlive the work on the stream.
    ///
    /// # Errors
    /// Why cuDNN refused.
    #[allow(unsafe_code)]
    pub(super) unsafe fn run(
        &self,
        cudnn: &'static Cudnn,
        handle: Object,
        pointers: [Pointer; 4],
    ) -> Result<(), String> {
        let [operands @ .., space] = pointers;
        let pack = Descriptor::new(cudnn, kind::PACK)?.with(1000, &self.names)?.with(1001, &operands)?;
        let pack = pack.with(1003, &[space])?.finished()?;
        let (plan, pack) = (self.plan.reference().0, pack.reference().0);
        // SAFETY: the caller's, and the plan's descriptors are finished.
        cudnn.check(unsafe { (cudnn.functions.execute)(handle, plan, pack) }, "a convolution")
    }
}

/// The convolution as a graph of one operation, and what the graph was made of.
fn graph(cudnn: &'static Cudnn, handle: Object, problem: &Problem) -> Result<(Descriptor, Vec<Descriptor>), String> {
    let describe = |kind| Descriptor::new(cudnn, kind);
    let tensor = |name: i64, map: &Map| {
        let numbers = |of: [i32; 4]| of.map(|number| Integer(number.into()));
        let tensor = describe(kind::TENSOR)?.with(901, &[DataType(problem.kind)])?.with(906, &[Integer(name)])?;
        let tensor = tensor.with(902, &numbers(map.sizes))?.with(903, &numbers(map.strides))?;
        tensor.with(900, &[Integer(ALIGNED)])?.finished()
    };
    let (x, filter, y) = (tensor(X, &problem.x)?, tensor(FILTER, &problem.filter)?, tensor(Y, &problem.y)?);
    let two = |number: i32| [Integer(number.into()); 2];
    let convolution = describe(kind::CONVOLUTION)?.with(100, &[F32])?.with(101, &[CROSS_CORRELATION])?;
    let convolution = convolution.with(106, &[Integer(2)])?.with(102, &two(1))?.with(103, &two(problem.stride))?;
    let convolution = convolution.with(104, &two(problem.padding))?.with(105, &two(problem.padding))?.finished()?;
    // Each kind of operation numbers the same attributes from here on: factors, convolution, filter, x and y.
    let (operation, first) = match problem.pass {
        Pass::Forward => (kind::FORWARD, 700),
        Pass::InputGrad => (kind::INPUT_GRAD, 706),
        Pass::WeightGrad => (kind::WEIGHT_GRAD, 712),
    };
    let operation = describe(operation)?.with(first, &[Float(1.0)])?.with(first + 1, &[Float(0.0)])?;
    let mut operation = operation.with(first + 2, &[convolution.reference()])?;
    for (attribute, tensor) in (first + 3..).zip([&filter, &x, &y]) {
        operation = operation.with(attribute, &[tensor.reference()])?;
    }
    let operation = operation.finished()?;
    let graph = describe(kind::GRAPH)?.with(800, &[Handle(handle)])?.with(801, &[operation.reference()])?;
    Ok((graph.finished()?, vec![x, filter, y, convolution, operation]))
}

/// The plan of an engine, and its bytes of workspace; `None` for one that is not wanted.
fn planned(
    cudnn: &'static Cudnn,
    handle: Object,
    problem: &Problem,
    config: &Descriptor,
) -> Result<Option<(Descriptor, usize)>, String> {
    let engine = Descriptor::new(cudnn, kind::ENGINE)?;
    config.get(300, &mut [engine.reference()])?;
    let mut notes = [NumericalNote(0); NOTES];
    let count = engine.get(1303, &mut notes)?;
    let unwanted = |note: &NumericalNote| match note.0 {
        NONDETERMINISTIC => true,
        DOWN_CONVERT_INPUTS => problem.kind == F32.0,
        _ => false,
    };
    if notes[..count].iter().any(unwanted) {
        return Ok(None);
    }
    let plan = Descriptor::new(cudnn, kind::PLAN)?.with(400, &[Handle(handle)])?.with(401, &[config.reference()])?;
    let plan = plan.finished()?;
    let mut space = [Integer(0)];
    plan.get(402, &mut space)?;
    let [Integer(space)] = space;
    Ok((0..=WORKSPACE).contains(&space).then_some((plan, space as usize)))
}
