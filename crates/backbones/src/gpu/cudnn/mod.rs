//! Convolutions by NVIDIA's cuDNN (feature `cudnn`) instead of this project's kernels, where the library is found.
//!
//! The library is asked on the thread that serves the device, between the kernels before and after, for the stream that these
//! run on: nothing else orders them. Buffers are CubeCL's, the workspace too. What cuDNN does not take goes through the
//! kernels of `conv/`.

mod descriptor;
mod library;
mod plan;
mod problem;
mod session;
mod tally;

use std::{
    any::TypeId,
    collections::HashMap,
    ptr::null_mut,
    sync::{Mutex, PoisonError},
};

use burn_cubecl::tensor::CubeTensor;
use cubecl::{
    client::Client,
    device_handle::DeviceHandle,
    server::{BufferBinding, ServerError, ServerStorage},
};
use cubecl_cuda::CudaRuntime;
use cubecl_server::{
    command::DeviceStream,
    runtime::Runtime,
    stream::{WriteScoped, failed_writing},
};

pub(super) use self::problem::Problem;
pub use self::tally::cudnn_passes;
use self::{descriptor::Pointer, library::Cudnn, session::Pointers};

/// Serves a device of CUDA.
type Server = <CudaRuntime as Runtime>::Server;

/// What has been planned: bytes of workspace, or why cuDNN does not compute it.
type Plans = HashMap<(u16, Problem), Result<usize, String>>;

/// Version of the library that convolutions on CUDA devices go through, as far as it takes them: see [`cudnn_passes`].
///
/// # Errors
/// Why there is none, and this project's own kernels are used.
pub fn cudnn() -> Result<String, &'static str> {
    Cudnn::find().map(Cudnn::version)
}

/// Asks for a convolution of the first two tensors into the third: x and weight into y, weight and dy into dx, x and dy into the
/// gradient of the weight. No problem is one that cuDNN cannot be told of. `false` if another way has to be found, and nothing
/// was asked for.
pub(super) fn convolve(problem: Option<Problem>, tensors: [&CubeTensor; 3]) -> bool {
    let Some(server) = server(&tensors[2].client) else { return false };
    let outcome = try_convolve(&server, problem, tensors);
    let asked = outcome.is_ok();
    tally::count(outcome);
    asked
}

fn try_convolve(
    server: &DeviceHandle<Server>,
    problem: Option<Problem>,
    [first, second, out]: [&CubeTensor; 3],
) -> Result<(), String> {
    Cudnn::find()?;
    let problem = problem.ok_or("expected f32 or bf16 maps without gaps, not empty, of less than 2^31 elements")?;
    let client = &out.client;
    let space = planned(server, problem)?;
    let space = (space > 0).then(|| client.empty(space).binding());
    let buffers = [first, second, out].map(|tensor| tensor.handle.clone().binding());
    server.submit(move |server| {
        let [.., out] = &buffers;
        let (stream, out) = (out.stream, out.clone());
        if let Err(error) = ask(server, problem, &buffers, space.as_ref()) {
            // Whatever reads the result then fails with this.
            failed_writing(server, stream, vec![out], error);
        }
    });
    Ok(())
}

/// The server of a client on CUDA.
fn server(client: &Client) -> Option<DeviceHandle<Server>> {
    let id = client.service_id();
    (id.service == TypeId::of::<Server>()).then(|| DeviceHandle::new(id.device))
}

/// Bytes of workspace that a convolution needs. A convolution met for the first time waits for the thread of the device.
///
/// # Errors
/// Why cuDNN does not compute it.
fn planned(server: &DeviceHandle<Server>, problem: Problem) -> Result<usize, String> {
    static PLANS: Mutex<Option<Plans>> = Mutex::new(None);
    let key = (server.device_id().index_id, problem);
    let lock = || PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = lock().get_or_insert_default().get(&key) {
        return found.clone();
    }
    // Not locked while it waits: another device need not, and planning twice gives the same.
    let plan = server.submit_blocking(move |_| session::plan(problem)).unwrap_or_else(|e| Err(format!("{e:?}")));
    let plan = plan.map_err(|reason| format!("{:?}, weight {:?}: {reason}", problem.pass, problem.filter.sizes));
    lock().get_or_insert_default().insert(key, plan.clone());
    plan
}

/// On the thread of the device: where the buffers are, and the stream.
fn ask(
    server: &mut Server,
    problem: Problem,
    buffers: &[BufferBinding; 3],
    space: Option<&BufferBinding>,
) -> Result<(), ServerError> {
    let stream = buffers[2].stream;
    let mut held = Vec::with_capacity(4);
    for buffer in buffers.iter().chain(space) {
        held.push(server.get_resource(buffer.clone(), stream)?);
    }
    let mut pointers: Pointers = [Pointer(null_mut()); 4];
    for (pointer, buffer) in pointers.iter_mut().zip(&held) {
        *pointer = Pointer(buffer.resource().ptr as *mut _);
    }
    // Kept until the work is asked for: dropping it says that shared buffers may be reused after that.
    let mut streams = server.write_streams().resolve(stream, buffers.iter().chain(space))?;
    let queue = streams.current().signal().cast();
    session::run(problem, queue, pointers)
        .map_err(|reason| ServerError::Generic { reason, backtrace: Default::default() })
}
