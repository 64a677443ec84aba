//! cuDNN on the thread that serves a device: its handle, and the plan of every convolution met so far.

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
    ffi::{c_int, c_void},
    ptr::null_mut,
};

use super::{
    library::{Choice, Cudnn, Object, Pointer},
    problem::Problem,
};
use crate::gpu::conv::Pass;

/// `CUDNN_TENSOR_NHWC`, `CUDNN_CROSS_CORRELATION` and `CUDNN_DATA_FLOAT`.
const NHWC: c_int = 1;
const CROSS_CORRELATION: c_int = 1;
const F32: c_int = 0;
/// The largest workspace of a convolution, in bytes.
const WORKSPACE: usize = 1 << 30;
/// Algorithms asked for at most; there are up to eight of a pass, which may come once for each type of mathematics.
const ALGORITHMS: usize = 16;

/// Where the operands, the result and the workspace are.
pub(super) type Pointers = [Pointer; 4];

thread_local! {
    /// A thread serves one device.
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
}

/// Descriptors live until the program ends.
struct Session {
    cudnn: &'static Cudnn,
    handle: Object,
    plans: HashMap<Problem, Plan>,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    x: Object,
    filter: Object,
    y: Object,
    convolution: Object,
    algorithm: c_int,
    /// Bytes of workspace.
    space: usize,
}

/// Bytes of workspace that a convolution needs. Its algorithm is chosen once.
///
/// # Errors
/// Why cuDNN does not compute it.
pub(super) fn plan(problem: Problem) -> Result<usize, String> {
    with(|session| match session.plans.entry(problem) {
        Entry::Occupied(found) => Ok(found.get().space),
        Entry::Vacant(place) => {
            let plan = Plan::new(session.cudnn, session.handle, &problem)?;
            Ok(place.insert(plan).space)
        }
    })
}

/// Asks a stream for a convolution that was planned: of two operands, into the third, with the workspace, in that order.
///
/// # Errors
/// Why cuDNN refused.
#[allow(unsafe_code)]
pub(super) fn run(problem: Problem, stream: *mut c_void, pointers: Pointers) -> Result<(), String> {
    with(|session| {
        let Session { cudnn, handle, plans } = session;
        let plan = plans.get(&problem).ok_or("a convolution that was not planned")?;
        let ([first, second, out, space], functions) = (pointers, &cudnn.functions);
        let Plan { x, filter, y, convolution, algorithm, space: bytes } = *plan;
        let (pass, call, [of_first, of_second, of_out]) = match problem.pass {
            Pass::Forward => ("a forward pass", functions.forward, [x, filter, y]),
            Pass::InputGrad => ("a gradient of an input", functions.input_grad, [filter, y, x]),
            Pass::WeightGrad => ("a gradient of a weight", functions.weight_grad, [x, y, filter]),
        };
        // SAFETY: the stream and the buffers are of this device and outlive the work on the stream, where CubeCL's own kernels
        // are also ordered; they hold what the descriptors say.
        unsafe {
            cudnn.check((functions.set_stream)(*handle, stream), "taking the stream")?;
            let status = call(
                *handle,
                &1.0,
                of_first,
                first,
                of_second,
                second,
                convolution,
                algorithm,
                space,
                bytes,
                &0.0,
                of_out,
                out,
            );
            cudnn.check(status, pass)
        }
    })
}

#[allow(unsafe_code)]
fn with<R>(work: impl FnOnce(&mut Session) -> Result<R, String>) -> Result<R, String> {
    SESSION.with_borrow_mut(|place| {
        if place.is_none() {
            let cudnn = Cudnn::find()?;
            let mut handle = null_mut();
            // SAFETY: it writes the handle. The device's context is current on the thread that serves it.
            cudnn.check(unsafe { (cudnn.functions.create)(&mut handle) }, "starting")?;
            *place = Some(Session { cudnn, handle, plans: HashMap::new() });
        }
        work(place.as_mut().ok_or("no session")?)
    })
}

impl Plan {
    #[allow(unsafe_code)]
    fn new(cudnn: &Cudnn, handle: Object, problem: &Problem) -> Result<Self, String> {
        let functions = &cudnn.functions;
        let create = |function: unsafe extern "C" fn(*mut Object) -> c_int| {
            let mut object = null_mut();
            // SAFETY: it writes the descriptor.
            cudnn.check(unsafe { function(&mut object) }, "a descriptor").map(|()| object)
        };
        let (x, y) = (create(functions.create_tensor)?, create(functions.create_tensor)?);
        let (filter, convolution) = (create(functions.create_filter)?, create(functions.create_convolution)?);
        let Problem { kind, stride, padding, filter: [out, inner, height, width], .. } = *problem;
        for (descriptor, map) in [(x, problem.x), (y, problem.y)] {
            let ([n, c, h, w], [of_n, of_c, of_h, of_w]) = (map.sizes, map.strides);
            // SAFETY: a descriptor of a tensor and numbers.
            let status = unsafe { (functions.set_tensor)(descriptor, kind, n, c, h, w, of_n, of_c, of_h, of_w) };
            cudnn.check(status, "describing a map")?;
        }
        // SAFETY: a descriptor of a filter and numbers.
        let status = unsafe { (functions.set_filter)(filter, kind, NHWC, out, inner, height, width) };
        cudnn.check(status, "describing a weight")?;
        let set = functions.set_convolution;
        // SAFETY: a descriptor of a convolution and numbers.
        let statuses = unsafe {
            [
                set(convolution, padding, padding, stride, stride, 1, 1, CROSS_CORRELATION, F32),
                (functions.set_groups)(convolution, 1),
                (functions.set_math)(convolution, problem.math()),
            ]
        };
        statuses.into_iter().try_for_each(|status| cudnn.check(status, "describing a convolution"))?;
        let (choose, measure, [first, second, last]) = match problem.pass {
            Pass::Forward => (functions.choose_forward, functions.forward_space, [x, filter, y]),
            Pass::InputGrad => (functions.choose_input_grad, functions.input_grad_space, [filter, y, x]),
            Pass::WeightGrad => (functions.choose_weight_grad, functions.weight_grad_space, [x, y, filter]),
        };
        let (mut choices, mut count) = ([Choice::default(); ALGORITHMS], 0);
        // SAFETY: it writes at most as many choices as are asked for.
        let status = unsafe {
            choose(handle, first, second, convolution, last, ALGORITHMS as c_int, &mut count, choices.as_mut_ptr())
        };
        cudnn.check(status, "choosing an algorithm")?;
        let count = usize::try_from(count).unwrap_or(0).min(ALGORITHMS);
        // The fastest first, by cuDNN's own estimate. A run that is repeated gives the same bits, as with other kernels.
        let fit = |choice: &&Choice| choice.status == 0 && choice.determinism == 1 && choice.memory <= WORKSPACE;
        let measured = |choice: &Choice| {
            let mut bytes = 0;
            // SAFETY: descriptors and numbers; it writes the size.
            unsafe {
                cudnn.check((functions.set_math)(convolution, choice.math), "describing a convolution")?;
                let status = measure(handle, first, second, convolution, last, choice.algorithm, &mut bytes);
                cudnn.check(status, "the workspace of an algorithm")?;
            }
            Ok::<_, String>(bytes.max(choice.memory))
        };
        let mut refusal = "no algorithm that repeats its bits within 1 GiB".to_owned();
        for choice in choices[..count].iter().filter(fit) {
            // The heuristic may name what does not run; asking for the workspace tells.
            match measured(choice) {
                Ok(space) if space <= WORKSPACE => {
                    return Ok(Self { x, filter, y, convolution, algorithm: choice.algorithm, space });
                }
                Ok(_) => {}
                Err(reason) => refusal = reason,
            }
        }
        Err(refusal)
    }
}
