//! cuDNN on the thread that serves a device: its handle, and the plan of every convolution met so far.

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
    ffi::c_void,
    ptr::null_mut,
};

use super::{
    descriptor::Pointer,
    library::{Cudnn, Object},
    plan::Plan,
    problem::Problem,
};

/// Where the operands, the result and the workspace are.
pub(super) type Pointers = [Pointer; 4];

thread_local! {
    /// A thread serves one device.
    static SESSION: RefCell<Option<Session>> = const { RefCell::new(None) };
}

struct Session {
    cudnn: &'static Cudnn,
    handle: Object,
    plans: HashMap<Problem, Plan>,
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
        // SAFETY: the stream and the buffers are of this device and outlive the work on the stream, where CubeCL's own kernels
        // are also ordered; they hold what the problem says.
        unsafe {
            cudnn.check((cudnn.functions.set_stream)(*handle, stream), "taking the stream")?;
            plan.run(cudnn, *handle, pointers)
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
