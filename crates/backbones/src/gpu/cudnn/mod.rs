//! Convolutions by NVIDIA's cuDNN (feature `cudnn`) instead of this project's kernels, where the library is found.
//!
//! The library is asked on the thread that serves the device, between the kernels before and after, for the stream that these
//! run on: nothing else orders them. Buffers are CubeCL's, the workspace too. What cuDNN does not take goes through the
//! kernels of `conv/`.

mod library;
mod problem;
mod session;

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
use self::{library::Cudnn, session::Pointers};

/// Serves a device of CUDA.
type Server = <CudaRuntime as Runtime>::Server;

/// What has been planned: bytes of workspace, `None` for what cuDNN does not compute.
type Plans = HashMap<(u16, Problem), Option<usize>>;

/// Version of the library that convolutions on CUDA devices go through.
///
/// # Errors
/// Why there is none, and this project's own kernels are used.
pub fn cudnn() -> Result<String, &'static str> {
    Cudnn::find().map(Cudnn::version)
}

/// Asks for a convolution of the first two tensors into the third: x and weight into y, weight and dy into dx, x and dy into the
/// gradient of the weight. `false` if another way has to be found, and nothing was asked for.
pub(super) fn convolve(problem: Problem, [first, second, out]: [&CubeTensor; 3]) -> bool {
    let client = &out.client;
    let Some(server) = server(client) else { return false };
    let Some(space) = planned(&server, problem) else { return false };
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
    true
}

/// The server of a client on CUDA, if cuDNN is there.
fn server(client: &Client) -> Option<DeviceHandle<Server>> {
    let id = client.service_id();
    (id.service == TypeId::of::<Server>() && Cudnn::find().is_ok()).then(|| DeviceHandle::new(id.device))
}

/// Bytes of workspace that a convolution needs. A convolution met for the first time waits for the thread of the device.
fn planned(server: &DeviceHandle<Server>, problem: Problem) -> Option<usize> {
    static PLANS: Mutex<Option<Plans>> = Mutex::new(None);
    let mut plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    let plan = || server.submit_blocking(move |_| session::plan(problem)).ok()?.ok();
    *plans.get_or_insert_default().entry((server.device_id().index_id, problem)).or_insert_with(plan)
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
    let mut pointers: Pointers = [null_mut(); 4];
    for (pointer, buffer) in pointers.iter_mut().zip(&held) {
        *pointer = buffer.resource().ptr as *mut _;
    }
    // Kept until the work is asked for: dropping it says that shared buffers may be reused after that.
    let mut streams = server.write_streams().resolve(stream, buffers.iter().chain(space))?;
    let queue = streams.current().signal().cast();
    session::run(problem, queue, pointers)
        .map_err(|reason| ServerError::Generic { reason, backtrace: Default::default() })
}
