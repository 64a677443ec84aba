//! Descriptors of cuDNN's graph interface: what is to be computed, and how.

use std::{
    ffi::{c_int, c_void},
    ptr::null_mut,
};

use super::library::{Cudnn, Object};

/// Kinds of descriptors, `cudnnBackendDescriptorType_t`.
pub(super) mod kind {
    use std::ffi::c_int;

    pub(in crate::gpu::cudnn) const CONVOLUTION: c_int = 1;
    pub(in crate::gpu::cudnn) const ENGINE: c_int = 2;
    pub(in crate::gpu::cudnn) const ENGINE_CONFIG: c_int = 3;
    pub(in crate::gpu::cudnn) const HEURISTIC: c_int = 4;
    pub(in crate::gpu::cudnn) const PLAN: c_int = 5;
    pub(in crate::gpu::cudnn) const FORWARD: c_int = 10;
    pub(in crate::gpu::cudnn) const WEIGHT_GRAD: c_int = 11;
    pub(in crate::gpu::cudnn) const INPUT_GRAD: c_int = 12;
    pub(in crate::gpu::cudnn) const GRAPH: c_int = 15;
    pub(in crate::gpu::cudnn) const PACK: c_int = 16;
    pub(in crate::gpu::cudnn) const TENSOR: c_int = 17;
}

/// A value of an attribute.
///
/// # Safety
/// Must lie in memory as the values of that `cudnnBackendAttributeType_t`.
#[allow(unsafe_code)]
pub(super) unsafe trait Value: Copy {
    const TYPE: c_int;
}

macro_rules! values {
    ($($(#[$doc:meta])* $name:ident($of:ty) = $number:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            #[repr(transparent)]
            pub(super) struct $name(pub(super) $of);

            // SAFETY: a transparent wrapper of the type that NVIDIA's header names for this kind of value.
            #[allow(unsafe_code)]
            unsafe impl Value for $name {
                const TYPE: c_int = $number;
            }
        )*
    };
}

values! {
    /// `cudnnHandle_t`.
    Handle(Object) = 0;
    /// `cudnnDataType_t`.
    DataType(c_int) = 1;
    Integer(i64) = 3;
    Float(f32) = 4;
    /// Memory of the device.
    Pointer(*mut c_void) = 6;
    /// `cudnnConvolutionMode_t`.
    Mode(c_int) = 7;
    /// `cudnnBackendHeurMode_t`.
    HeuristicMode(c_int) = 8;
    /// `cudnnBackendNumericalNote_t`.
    NumericalNote(c_int) = 11;
    /// `cudnnBackendDescriptor_t`.
    Reference(Object) = 15;
}

/// A descriptor, destroyed when it is dropped.
pub(super) struct Descriptor {
    cudnn: &'static Cudnn,
    object: Object,
}

impl Descriptor {
    #[allow(unsafe_code)]
    pub(super) fn new(cudnn: &'static Cudnn, kind: c_int) -> Result<Self, String> {
        let mut object = null_mut();
        // SAFETY: it writes the descriptor.
        cudnn.check(unsafe { (cudnn.functions.describe)(kind, &mut object) }, "a descriptor")?;
        Ok(Self { cudnn, object })
    }

    pub(super) fn reference(&self) -> Reference {
        Reference(self.object)
    }

    /// Gives an attribute its values.
    #[allow(unsafe_code)]
    pub(super) fn with<V: Value>(self, attribute: c_int, values: &[V]) -> Result<Self, String> {
        // SAFETY: so many values of this type lie there, and are copied; what they refer to lives as long as the plan (`plan.rs`).
        let status = unsafe {
            (self.cudnn.functions.set)(self.object, attribute, V::TYPE, values.len() as i64, values.as_ptr().cast())
        };
        self.cudnn.check(status, "describing a convolution").map(|()| self)
    }

    /// Ends the description.
    ///
    /// # Errors
    /// Also what cuDNN or the device does not offer.
    #[allow(unsafe_code)]
    pub(super) fn finished(self) -> Result<Self, String> {
        // SAFETY: a descriptor that was created.
        let status = unsafe { (self.cudnn.functions.finalize)(self.object) };
        self.cudnn.check(status, "the end of a description").map(|()| self)
    }

    /// The values of an attribute, as many as there is room for.
    #[allow(unsafe_code)]
    pub(super) fn get<V: Value>(&self, attribute: c_int, room: &mut [V]) -> Result<usize, String> {
        let mut count = 0;
        // SAFETY: there is room for so many values of this type; references in it are descriptors.
        let status = unsafe {
            let (length, values) = (room.len() as i64, room.as_mut_ptr().cast());
            (self.cudnn.functions.get)(self.object, attribute, V::TYPE, length, &mut count, values)
        };
        self.cudnn.check(status, "asking for a choice")?;
        Ok(usize::try_from(count).unwrap_or(0).min(room.len()))
    }
}

impl Drop for Descriptor {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: created, and not destroyed yet.
        unsafe { (self.cudnn.functions.destroy)(self.object) };
    }
}
