//! What calls of the C++ kernels have in common.

use std::ffi::{CStr, c_char};

use spacewright_core::train::TrainError;
use tch::Tensor;
use torch_sys::C_tensor;

#[allow(unsafe_code, reason = "declares a function of cpp/kernels.cpp")]
unsafe extern "C" {
    fn spacewright_last_error() -> *const c_char;
}

/// The last error of the library on this thread.
#[allow(unsafe_code, reason = "reads a text")]
pub fn last_error() -> String {
    // SAFETY: the error is a static, zero-terminated buffer of this thread.
    unsafe { CStr::from_ptr(spacewright_last_error()) }.to_string_lossy().into_owned()
}

/// What a kernel made, or the error of the library; `doing` says what was computed.
#[allow(unsafe_code, reason = "takes over a tensor that the kernel has just made")]
pub fn take(doing: &'static str, pointer: *mut C_tensor) -> Result<Tensor, TrainError> {
    if pointer.is_null() {
        return Err(TrainError::Computation { doing, source: last_error().into() });
    }
    // SAFETY: the pointer is fresh and owned by nobody else.
    Ok(unsafe { Tensor::from_ptr(pointer) })
}
