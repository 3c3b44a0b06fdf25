//! Processes that train together: each computes a share of the images of every step, and all change their
//! parameters by the sum of the gradients, so that these stay the same everywhere.

use std::{
    ffi::{CStr, CString, c_char, c_int},
    ops::Range,
    path::Path,
    ptr::NonNull,
};

use spacewright_core::train::{Meeting, TeamPlace, TrainError};
use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use crate::{kernels::last_error, optim::Optimizer, params::Params};

/// A store of the library.
#[repr(C)]
struct RawStore {
    _private: [u8; 0],
}

/// A group of the library.
#[repr(C)]
struct RawGroup {
    _private: [u8; 0],
}

#[allow(unsafe_code, reason = "declares the functions of cpp/processes/group.cpp")]
unsafe extern "C" {
    fn spacewright_store_in_file(path: *const c_char, size: c_int) -> *mut RawStore;
    fn spacewright_store_at(host: *const c_char, port: c_int, serves: bool) -> *mut RawStore;
    fn spacewright_store_close(store: *mut RawStore);
    fn spacewright_store_set(
        store: *mut RawStore,
        name: *const c_char,
        value: *const c_char,
    ) -> bool;
    fn spacewright_store_get(store: *mut RawStore, name: *const c_char) -> *const c_char;
    fn spacewright_group_open(
        store: *mut RawStore,
        rank: c_int,
        size: c_int,
        address: *const c_char,
        gpu: c_int,
    ) -> *mut RawGroup;
    fn spacewright_group_close(group: *mut RawGroup);
    fn spacewright_group_joins_gpus(group: *const RawGroup) -> bool;
    fn spacewright_group_sum(group: *mut RawGroup, x: *mut C_tensor) -> bool;
    fn spacewright_group_broadcast(group: *mut RawGroup, x: *mut C_tensor) -> bool;
}

/// In place of a GPU's number.
const NO_GPU: c_int = -1;
/// Where processes of one machine reach each other.
const THIS_MACHINE: &str = "127.0.0.1";

fn failed(doing: &'static str) -> TrainError {
    TrainError::Computation { doing, source: last_error().into() }
}

fn text(text: &str) -> Result<CString, TrainError> {
    CString::new(text).map_err(|error| TrainError::Said(error.to_string()))
}

/// Where processes tell each other where they are.
struct Store(NonNull<RawStore>);

impl Store {
    fn open(meeting: &Meeting, processes: usize) -> Result<Self, TrainError> {
        match meeting {
            Meeting::File(path) => Self::in_file(path, processes),
            Meeting::Port { host, port, listens } => Self::at(host, *port, *listens),
        }
    }

    #[allow(unsafe_code, reason = "calls a function with a text")]
    fn in_file(path: &Path, processes: usize) -> Result<Self, TrainError> {
        let path = text(&path.to_string_lossy())?;
        // SAFETY: the text outlives the call, which copies it.
        Self::take(unsafe { spacewright_store_in_file(path.as_ptr(), processes as c_int) })
    }

    #[allow(unsafe_code, reason = "calls a function with a text")]
    fn at(host: &str, port: u16, listens: bool) -> Result<Self, TrainError> {
        let host = text(host)?;
        // SAFETY: the text outlives the call, which copies it.
        Self::take(unsafe { spacewright_store_at(host.as_ptr(), port.into(), listens) })
    }

    fn take(raw: *mut RawStore) -> Result<Self, TrainError> {
        NonNull::new(raw).map(Self).ok_or_else(|| failed("meeting the other processes"))
    }

    #[allow(unsafe_code, reason = "calls a function with texts")]
    fn set(&self, name: &str, value: &str) -> Result<(), TrainError> {
        let (name, value) = (text(name)?, text(value)?);
        // SAFETY: the texts outlive the call, which copies them; the store lives.
        let told = unsafe { spacewright_store_set(self.0.as_ptr(), name.as_ptr(), value.as_ptr()) };
        if told { Ok(()) } else { Err(failed("telling the other processes")) }
    }

    #[allow(unsafe_code, reason = "calls a function with a text, and reads what it gives")]
    fn get(&self, name: &str) -> Result<String, TrainError> {
        let name = text(name)?;
        // SAFETY: the text outlives the call; the store lives.
        let value = unsafe { spacewright_store_get(self.0.as_ptr(), name.as_ptr()) };
        if value.is_null() {
            return Err(failed("hearing from the other processes"));
        }
        // SAFETY: it is zero-terminated, and stays until the next call from this thread.
        Ok(unsafe { CStr::from_ptr(value) }.to_string_lossy().into_owned())
    }
}

impl Drop for Store {
    #[allow(unsafe_code, reason = "gives back what the library has made")]
    fn drop(&mut self) {
        // SAFETY: nobody else has it.
        unsafe { spacewright_store_close(self.0.as_ptr()) };
    }
}

/// What the first process has announced at a port; waits until it has.
pub fn announced(host: &str, port: u16) -> Result<String, TrainError> {
    Store::at(host, port, false)?.get(Meeting::HEAD)
}

/// The processes that train together, as one of them sees them.
#[derive(Debug)]
pub struct Group {
    /// Whose calls wait for those of the others, so that they come from one thread.
    raw: NonNull<RawGroup>,
    rank: usize,
    processes: usize,
}

// SAFETY: the library's group can be used from any thread; calls are collective, and made by one at a time.
#[allow(unsafe_code, reason = "the pointer is to an object that is not tied to a thread")]
unsafe impl Send for Group {}
// SAFETY: as above.
#[allow(unsafe_code, reason = "the pointer is to an object that is not tied to a thread")]
unsafe impl Sync for Group {}

impl Group {
    /// Waits until all processes are there.
    ///
    /// # Errors
    ///
    /// Processes that do not find each other.
    #[allow(unsafe_code, reason = "calls a function with texts and a store that lives")]
    pub fn open(place: &TeamPlace, device: Device) -> Result<Self, TrainError> {
        let TeamPlace { rank, processes, local_rank: _, meeting, announces } = place;
        let store = Store::open(meeting, *processes)?;
        if let Some(announced) = announces {
            store.set(Meeting::HEAD, announced)?;
        }
        let address = match meeting {
            Meeting::File(_) => THIS_MACHINE,
            Meeting::Port { .. } => "",
        };
        let address = text(address)?;
        let gpu = match device {
            Device::Cuda(number) => number as c_int,
            _ => NO_GPU,
        };
        let (number, size) = (*rank as c_int, *processes as c_int);
        // SAFETY: store and text outlive the call, which copies them.
        let raw = unsafe {
            spacewright_group_open(store.0.as_ptr(), number, size, address.as_ptr(), gpu)
        };
        let raw = NonNull::new(raw).ok_or_else(|| failed("meeting the other processes"))?;
        // SAFETY: the group was just made.
        let joins_gpus = unsafe { spacewright_group_joins_gpus(raw.as_ptr()) };
        if device != Device::Cpu && !joins_gpus {
            tracing::warn!(
                "processes that share a GPU exchange what they compute by the processor"
            );
        }
        Ok(Self { raw, rank: *rank, processes: *processes })
    }

    /// Its number, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Which of so many images of a batch are this process's.
    pub fn share(&self, images: usize) -> Range<usize> {
        let border = |rank: usize| rank * images / self.processes;
        border(self.rank)..border(self.rank + 1)
    }

    /// Whether each process has enough images of a batch of this size: batch normalization needs two.
    pub fn check_batch(&self, images: usize) -> Result<(), TrainError> {
        let least = 2 * self.processes;
        if images >= least {
            return Ok(());
        }
        Err(TrainError::Said(format!(
            "a batch of {images} images is too small for {} processes: it needs at least {least}",
            self.processes
        )))
    }

    /// Makes the parameters, and what an optimizer keeps, those of the first process, after so many `steps`.
    ///
    /// # Errors
    ///
    /// A process that goes on from another step; one that is gone.
    pub fn start_equal(
        &self,
        params: &Params,
        optimizer: &Optimizer,
        steps: usize,
    ) -> Result<(), TrainError> {
        let first = Tensor::from_slice(&[steps as i64]);
        self.broadcast(&first)?;
        if first.int64_value(&[0]) != steps as i64 {
            return Err(TrainError::Said(format!(
                "the first process goes on from step {}, process {} from step {steps}: do all see the run's folder?",
                first.int64_value(&[0]),
                self.rank
            )));
        }
        let tensors: Vec<&Tensor> = params.0.values().chain(optimizer.buffers.values()).collect();
        tch::no_grad(|| {
            let flat = flattened(&tensors);
            self.broadcast(&flat)?;
            scatter(&flat, &tensors);
            Ok(())
        })
    }

    /// Makes the gradients of all parameters, and the numbers `told`, means over the images of a whole batch of so
    /// many, of which each process has computed its share.
    ///
    /// # Errors
    ///
    /// A process that is gone.
    pub fn add_up<const N: usize>(
        &self,
        params: &Params,
        told: [f64; N],
        batch: usize,
    ) -> Result<[f64; N], TrainError> {
        let weight = self.share(batch).len() as f64 / batch as f64;
        let gradients: Vec<Tensor> =
            params.0.values().map(Tensor::grad).filter(Tensor::defined).collect();
        let device = params.device();
        tch::no_grad(|| {
            let told = Tensor::from_slice(&told.map(|number| number as f32)).to_device(device);
            let all: Vec<&Tensor> = gradients.iter().chain([&told]).collect();
            let flat = flattened(&all) * weight;
            self.sum(&flat)?;
            scatter(&flat, &all);
            let told = Vec::<f32>::try_from(&told.to_device(Device::Cpu));
            let told = told.map_err(|error| TrainError::Computation {
                doing: "adding up",
                source: error.into(),
            })?;
            Ok(std::array::from_fn(|index| f64::from(told[index])))
        })
    }

    #[allow(unsafe_code, reason = "calls a function with a live tensor")]
    fn sum(&self, x: &Tensor) -> Result<(), TrainError> {
        // SAFETY: group and tensor outlive the call.
        let done = unsafe { spacewright_group_sum(self.raw.as_ptr(), x.as_ptr().cast_mut()) };
        if done { Ok(()) } else { Err(failed("adding up what processes have computed")) }
    }

    #[allow(unsafe_code, reason = "calls a function with a live tensor")]
    fn broadcast(&self, x: &Tensor) -> Result<(), TrainError> {
        // SAFETY: group and tensor outlive the call.
        let done = unsafe { spacewright_group_broadcast(self.raw.as_ptr(), x.as_ptr().cast_mut()) };
        if done { Ok(()) } else { Err(failed("hearing from the first process")) }
    }
}

impl Drop for Group {
    #[allow(unsafe_code, reason = "gives back what the library has made")]
    fn drop(&mut self) {
        // SAFETY: nobody else has it.
        unsafe { spacewright_group_close(self.raw.as_ptr()) };
    }
}

/// All elements, one tensor after the other, in single precision.
fn flattened(tensors: &[&Tensor]) -> Tensor {
    let flat: Vec<Tensor> =
        tensors.iter().map(|tensor| tensor.detach().to_kind(Kind::Float).flatten(0, -1)).collect();
    Tensor::cat(&flat, 0)
}

/// Puts the elements of `flat` where [`flattened`] has taken them from.
fn scatter(flat: &Tensor, tensors: &[&Tensor]) {
    let mut from = 0;
    for tensor in tensors {
        let count = tensor.numel() as i64;
        let part = flat.narrow(0, from, count).view_as(tensor);
        tensor.detach().copy_(&part);
        from += count;
    }
}

#[cfg(test)]
mod tests;
