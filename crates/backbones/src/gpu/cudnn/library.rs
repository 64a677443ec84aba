//! NVIDIA's library, found when it is first wanted. Only what is used is declared, after `cudnn_graph.h` and `cudnn_ops.h`.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    sync::OnceLock,
};

use libloading::Library;

/// Switches it off: `MOCO_CXR_CUDNN=off`.
const SWITCH: &str = "MOCO_CXR_CUDNN";
/// Names of the library, the newest first.
const NAMES: [&str; 3] = if cfg!(windows) {
    ["cudnn64_9.dll", "cudnn64_8.dll", "cudnn.dll"]
} else {
    ["libcudnn.so.9", "libcudnn.so.8", "libcudnn.so"]
};
/// The first that chooses by `CUDNN_HEUR_MODE_A`, as it counts its versions.
const OLDEST: usize = 8300;

/// `cudnnStatus_t`; 0 is success.
pub(super) type Status = c_int;
/// A handle or a descriptor: `cudnnHandle_t`, `cudnnTensorDescriptor_t`, and so on.
pub(super) type Object = *mut c_void;

macro_rules! functions {
    ($($name:ident = $symbol:literal: ($($argument:ty),* $(,)?);)*) => {
        /// The functions that return a status.
        pub(super) struct Functions {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) -> Status,)*
        }

        impl Functions {
            #[allow(unsafe_code)]
            fn of(library: &Library) -> Result<Self, libloading::Error> {
                // SAFETY: the symbols have these types in NVIDIA's headers of versions 8 and 9.
                unsafe { Ok(Self { $($name: *library.get($symbol)?,)* }) }
            }
        }
    };
}

functions! {
    create = c"cudnnCreate": (*mut Object);
    set_stream = c"cudnnSetStream": (Object, *mut c_void);
    // Kind; the descriptor.
    describe = c"cudnnBackendCreateDescriptor": (c_int, *mut Object);
    destroy = c"cudnnBackendDestroyDescriptor": (Object);
    // An attribute and its type, how many values, and these.
    set = c"cudnnBackendSetAttribute": (Object, c_int, c_int, i64, *const c_void);
    // The same, where there is room for so many, and how many there are.
    get = c"cudnnBackendGetAttribute": (Object, c_int, c_int, i64, *mut i64, *mut c_void);
    finalize = c"cudnnBackendFinalize": (Object);
    // Plan and pack of pointers.
    execute = c"cudnnBackendExecute": (Object, Object, Object);
}

/// The library, which stays loaded until the program ends.
pub(super) struct Cudnn {
    pub(super) functions: Functions,
    error: unsafe extern "C" fn(Status) -> *const c_char,
    /// As it counts: 90100 is 9.1.0, 8902 is 8.9.2.
    version: usize,
    _library: Library,
}

impl Cudnn {
    /// # Errors
    /// Why it cannot be had.
    pub(super) fn find() -> Result<&'static Self, &'static str> {
        static FOUND: OnceLock<Result<Cudnn, String>> = OnceLock::new();
        let find = || match std::env::var_os(SWITCH) {
            Some(value) if value == "off" => Err(format!("switched off by {SWITCH}=off")),
            _ => Self::open(&NAMES),
        };
        FOUND.get_or_init(find).as_ref().map_err(String::as_str)
    }

    #[allow(unsafe_code)]
    fn open(names: &[&str]) -> Result<Self, String> {
        // SAFETY: NVIDIA's library does nothing on loading that needs care, and these symbols have these types.
        let library = names.iter().find_map(|name| unsafe { Library::new(*name) }.ok());
        let library =
            library.ok_or_else(|| format!("none of {} was found by the system's loader", names.join(", ")))?;
        let missing = |e: libloading::Error| format!("the library that was found is not what was expected: {e}");
        let functions = Functions::of(&library).map_err(missing)?;
        // SAFETY: as above.
        let (error, version) = unsafe {
            let version = library.get::<unsafe extern "C" fn() -> usize>(c"cudnnGetVersion").map_err(missing)?;
            (*library.get(c"cudnnGetErrorString").map_err(missing)?, version())
        };
        let found = Self { functions, error, version, _library: library };
        if version < OLDEST {
            return Err(format!("version {} was found, expected 8.3 or later", found.version()));
        }
        Ok(found)
    }

    pub(super) fn version(&self) -> String {
        // From version 9 on a version has two digits more.
        let major = if self.version < 10_000 { 1_000 } else { 10_000 };
        format!("{}.{}.{}", self.version / major, self.version % major / 100, self.version % 100)
    }

    /// # Errors
    /// What failed, unless the status is success.
    #[allow(unsafe_code)]
    pub(super) fn check(&self, status: Status, what: &str) -> Result<(), String> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: it returns a text that lives as long as the library, for any number.
        let text = unsafe {
            let text = (self.error)(status);
            if text.is_null() { c"".to_owned() } else { CStr::from_ptr(text).to_owned() }
        };
        Err(format!("cuDNN {}: {what}: {} (status {status})", self.version(), text.to_string_lossy()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_missing_or_another_is_an_error_that_says_so() {
        let fault = |names: &[&str]| Cudnn::open(names).err().unwrap_or_default();
        assert_eq!(
            fault(&["libno-cudnn.so.9", "libno-cudnn.so"]),
            "none of libno-cudnn.so.9, libno-cudnn.so was found by the system's loader"
        );
        if cfg!(target_os = "linux") {
            let found = fault(&["libc.so.6"]);
            assert!(found.starts_with("the library that was found is not what was expected"), "{found}");
        }
    }
}
