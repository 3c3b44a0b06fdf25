//! Where networks are computed.

use std::ffi::{CStr, CString, c_char, c_int};

use spacewright_core::train::{Compute, Device, Precision, TrainError};
use tch::Tensor;
use torch_sys::C_tensor;

use crate::kernels;

/// Source of the kernels for NVIDIA GPUs.
const KERNELS: &str = concat!(
    include_str!("../cpp/cuda/common.cu"),
    include_str!("../cpp/cuda/fake_quant.cu"),
    include_str!("../cpp/cuda/normalize.cu"),
    include_str!("../cpp/cuda/depthwise.cu"),
    include_str!("../cpp/cuda/descend.cu"),
);

const ON_THE_PROCESSOR: &str = "`--device cpu` computes on the processor";
const SET_UP: &str = "`cargo xtask setup --cuda` fetches what is missing, or SPACEWRIGHT_TORCH names the folder \
                      `torch` of an installation of PyTorch for CUDA";

#[allow(unsafe_code, reason = "declares the functions of cpp/cuda/driver.cpp")]
unsafe extern "C" {
    fn spacewright_cuda_has_driver() -> bool;
    fn spacewright_cuda_load(kernels: *const c_char) -> *const c_char;
    fn spacewright_cuda_name(device: c_int) -> *const c_char;
    fn spacewright_cuda_compile(device: c_int) -> bool;
    fn spacewright_cuda_precision(tf32: bool) -> bool;
    fn spacewright_cuda_upload(x: *const C_tensor, device: c_int) -> *mut C_tensor;
}

/// Makes a device ready; the name of the card, if it is one. To be called before anything else of PyTorch is.
///
/// The processes of one machine take its GPUs in turn, from the one that is named on: `local_rank` is the number
/// of this process among them.
pub fn open(
    compute: &Compute,
    local_rank: usize,
) -> Result<(tch::Device, Option<String>), TrainError> {
    let refused = |reason: String, hint: &'static str| TrainError::Device {
        device: compute.device.to_string(),
        reason,
        hint,
    };
    match compute.device {
        Device::Cpu if compute.precision == Precision::Tf32 => {
            let reason = "TensorFloat-32 is a format of NVIDIA's GPUs".to_owned();
            Err(refused(reason, "`--precision fp32`, or another device"))
        }
        Device::Cpu => Ok((tch::Device::Cpu, None)),
        Device::Cuda(number) => {
            let (number, name) = open_cuda(number, local_rank, compute.precision)
                .map_err(|(reason, hint)| refused(reason, hint))?;
            Ok((tch::Device::Cuda(number), Some(name)))
        }
    }
}

#[allow(unsafe_code, reason = "calls functions that ask for nothing but live arguments")]
fn open_cuda(
    number: usize,
    local_rank: usize,
    precision: Precision,
) -> Result<(usize, String), (String, &'static str)> {
    // SAFETY: takes nothing.
    if !unsafe { spacewright_cuda_has_driver() } {
        return Err(("there is no NVIDIA driver".to_owned(), ON_THE_PROCESSOR));
    }
    let kernels = CString::new(KERNELS).unwrap_or_default();
    // SAFETY: the text outlives the call, which copies it.
    if let Some(reason) = text(unsafe { spacewright_cuda_load(kernels.as_ptr()) }) {
        return Err((format!("PyTorch's CUDA library cannot be loaded: {reason}"), SET_UP));
    }
    if !tch::Cuda::is_available() {
        return Err(("PyTorch cannot use the NVIDIA driver".to_owned(), ON_THE_PROCESSOR));
    }
    let count = tch::Cuda::device_count();
    if number as i64 >= count {
        let reason = match count {
            1 => "there is one GPU, `cuda:0`".to_owned(),
            count => format!("there are {count} GPUs, from `cuda:0` on"),
        };
        return Err((reason, "name one that there is"));
    }
    let number = (number + local_rank) % count as usize;
    let failed = |doing: &str| (format!("{doing}: {}", kernels::last_error()), ON_THE_PROCESSOR);
    // SAFETY: takes a number.
    let name = text(unsafe { spacewright_cuda_name(number as c_int) });
    let mut name = name.ok_or_else(|| failed("the NVIDIA driver does not tell the card's name"))?;
    // SAFETY: takes a truth value.
    if !unsafe { spacewright_cuda_precision(precision == Precision::Tf32) } {
        return Err(failed("PyTorch does not take the precision"));
    }
    // SAFETY: takes a number.
    if !unsafe { spacewright_cuda_compile(number as c_int) } {
        let reason = kernels::last_error();
        tracing::warn!("slower, as kernels cannot be compiled for the GPU: {reason}");
        // Part of keys: sums are taken in another order.
        name.push_str(", composed");
    }
    Ok((number, name))
}

/// A tensor of the processor on a device; work that goes on there is not waited for.
#[allow(unsafe_code, reason = "calls a function with a live tensor")]
pub fn upload(tensor: Tensor, device: tch::Device) -> Result<Tensor, TrainError> {
    match device {
        tch::Device::Cuda(number) => {
            // SAFETY: the tensor outlives the call; what is copied from is kept until it has been.
            let uploaded = unsafe { spacewright_cuda_upload(tensor.as_ptr(), number as c_int) };
            kernels::take("copying to the GPU", uploaded)
        }
        _ => Ok(tensor),
    }
}

/// A text of the other side; `None` for a null pointer.
#[allow(unsafe_code, reason = "reads a text that the other side keeps")]
fn text(pointer: *const c_char) -> Option<String> {
    // SAFETY: texts are zero-terminated, and stay until the next call from this thread.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_computed_is_refused() {
        let refused = |device, precision| {
            let compute = Compute { device, precision, ..Compute::on_processor(1) };
            open(&compute, 0).err().map(|error| error.to_string())
        };
        assert_eq!(refused(Device::Cpu, Precision::Bf16), None);
        let reason = refused(Device::Cpu, Precision::Tf32).unwrap();
        assert!(reason.contains("`cpu`") && reason.contains("NVIDIA"), "{reason}");
        // There are machines with a GPU, but none with so many.
        let reason = refused(Device::Cuda(99), Precision::Fp32).unwrap();
        assert!(reason.starts_with("cannot compute on `cuda:99`: "), "{reason}");
    }
}
