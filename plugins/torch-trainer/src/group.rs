//! Processes that train together: each computes a share of the images of every step, and all change their
//! parameters by the sum of the gradients, so that these stay the same everywhere.

use std::{
    ffi::{CStr, CString, c_char, c_int},
    ops::Range,
    path::Path,
    ptr::NonNull,
};

use spacewright_core::train::{Meeting, Place, TrainError};
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
    pub fn open(place: &Place, device: Device) -> Result<Self, TrainError> {
        let Place { rank, processes, local_rank: _, meeting, announces } = place;
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

    /// Makes the gradients of all parameters, and the numbers `told`, sums over all processes; those of this one
    /// count as `weight` says.
    ///
    /// # Errors
    ///
    /// A process that is gone.
    pub fn add_up<const N: usize>(
        &self,
        params: &Params,
        told: [f64; N],
        weight: f64,
    ) -> Result<[f64; N], TrainError> {
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
mod tests {
    use std::{sync::Arc, thread};

    use spacewright_core::{
        graph::{Graph, Op},
        operators::{BlockRequest, BlockType, OperatorError, OperatorSet, Operators},
        space::ElasticStage,
        train::{Guide, SupernetJob, TrainReport, TwoPhaseFiles},
    };

    use super::*;
    use crate::{
        context::Context,
        supernet,
        testing::{self, Unwatched},
    };

    /// The groups of so many processes, which threads stand for, by rank.
    fn groups(folder: &Path, processes: usize) -> Vec<Arc<Group>> {
        let open = |rank: usize| {
            let meeting = Meeting::File(folder.join("meeting"));
            let place = Place { rank, processes, local_rank: rank, meeting, announces: None };
            thread::spawn(move || Arc::new(Group::open(&place, Device::Cpu).unwrap()))
        };
        let opened: Vec<_> = (0..processes).map(open).collect();
        opened.into_iter().map(|opened| opened.join().unwrap()).collect()
    }

    #[test]
    fn shares_of_a_batch_are_all_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let groups = groups(folder.path(), 3);
        let shares: Vec<_> = groups.iter().map(|group| group.share(8)).collect();
        assert_eq!(shares, [0..2, 2..5, 5..8]);
        assert!(groups[0].check_batch(6).is_ok());
        let error = groups[0].check_batch(5).unwrap_err().to_string();
        assert!(error.contains("5 images is too small for 3 processes"), "{error}");
    }

    #[test]
    fn gradients_and_numbers_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let added = |group: Arc<Group>| {
            let mut params = Params::default();
            params.insert("a".into(), Tensor::from_slice(&[1.0f32, 2.0]).view([2, 1]));
            params.insert("b".into(), Tensor::from_slice(&[5.0f32]));
            let factor = group.rank() as f64 + 1.0;
            (&params.0["a"] * factor).sum(Kind::Float).backward();
            let told = group.add_up(&params, [factor, 0.0], 0.5).unwrap();
            assert!(!params.0["b"].grad().defined());
            (told, Vec::<f32>::try_from(params.0["a"].grad().view(-1)).unwrap())
        };
        let added: Vec<_> = groups(folder.path(), 2)
            .into_iter()
            .map(|group| thread::spawn(move || added(group)))
            .collect();
        for added in added {
            assert_eq!(added.join().unwrap(), ([1.5, 0.0], vec![1.5, 1.5]));
        }
    }

    #[test]
    fn who_goes_on_from_another_step_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let start = |group: Arc<Group>| {
            let mut params = Params::default();
            let steps = 3 + group.rank();
            params.insert("a".into(), Tensor::from_slice(&[steps as f32]));
            let optimizer = Optimizer::new(crate::optim::Rule::Sgd, 0.0, true);
            group.start_equal(&params, &optimizer, steps).err().map(|error| error.to_string())
        };
        let started: Vec<_> = groups(folder.path(), 2)
            .into_iter()
            .map(|group| thread::spawn(move || start(group)))
            .collect();
        let mut started = started.into_iter().map(|started| started.join().unwrap());
        started.next();
        let error = started.next().unwrap().unwrap();
        assert!(
            error.starts_with("the first process goes on from step 3, process 1 from"),
            "{error}"
        );
    }

    /// One process alone, as one GPU is not several: that NCCL is found, and adds.
    #[test]
    #[ignore = "needs an NVIDIA GPU"]
    fn a_gpu_adds_up() {
        let device = spacewright_core::train::Device::Cuda(0);
        let compute = spacewright_core::train::Compute {
            device,
            ..spacewright_core::train::Compute::on_processor(1)
        };
        let (device, _) = crate::device::open(&compute, 0).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let meeting = Meeting::File(folder.path().join("meeting"));
        let place = Place { rank: 0, processes: 1, local_rank: 0, meeting, announces: None };
        let group = Group::open(&place, device).unwrap();
        // SAFETY: the group lives.
        #[allow(unsafe_code, reason = "asks a group that lives")]
        let joins_gpus = unsafe { spacewright_group_joins_gpus(group.raw.as_ptr()) };
        assert!(joins_gpus);
        let mut params = Params::default();
        params.insert("a".into(), Tensor::from_slice(&[1.0f32, 2.0]));
        let params = params.on(device);
        (&params.0["a"] * 3.0).sum(Kind::Float).backward();
        assert_eq!(group.add_up(&params, [4.0], 0.5).unwrap(), [2.0]);
        let gradient = params.0["a"].grad().to_device(Device::Cpu);
        assert_eq!(Vec::<f32>::try_from(gradient).unwrap(), [1.5, 1.5]);
    }

    fn stages(context: &Context) -> Vec<ElasticStage> {
        context.hyperspace.uniform_spaces()[1].elastic_stages(&context.hyperspace)
    }

    /// Trains a supernet for some steps: its parameters without quantizers, and the losses of both phases.
    fn trained(context: &Context, folder: &Path, micro_batch: usize) -> (Params, Vec<f64>) {
        let job = SupernetJob {
            stages: stages(context),
            start: Vec::new(),
            guidance: None,
            fp32: testing::phase(3),
            int8: testing::phase(2),
            label_smoothing: 0.0,
            guide: Guide::Teacher,
            micro_batch,
            augment: Vec::new(),
        };
        let [fp32, int8] = ["fp32", "int8"].map(|name| folder.join(name));
        let files = TwoPhaseFiles { fp32: fp32.clone(), int8, scratch: folder.to_owned() };
        let reports = supernet::train(context, &job, &files, &Unwatched).unwrap();
        let loss = |report: &TrainReport| report.loss.unwrap();
        let params =
            if context.is_first() { Params::load(&fp32).unwrap() } else { Params::default() };
        (params, reports.values().map(loss).collect())
    }

    /// Blocks that drop nothing out, as each process would drop other values.
    struct WithoutDropout(Operators);

    impl OperatorSet for WithoutDropout {
        fn name(&self) -> &str {
            "without dropout"
        }

        fn block_types(&self) -> Vec<BlockType> {
            self.0.block_types().into_iter().cloned().collect()
        }

        fn graphs(&self, requests: &[BlockRequest]) -> Result<Vec<Graph>, OperatorError> {
            let mut graphs = self.0.graphs(requests)?;
            for node in graphs.iter_mut().flat_map(|graph| &mut graph.nodes) {
                if let Op::Dropout { rate } = &mut node.op {
                    *rate = 0.0;
                }
            }
            Ok(graphs)
        }
    }

    /// Two processes with half of the images each do as one that computes the same halves, one after the other.
    #[test]
    fn two_processes_train_as_one_does() {
        let (alone, together) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut context = testing::context();
        let operators = WithoutDropout(context.operators.clone());
        context.job.operators = Operators::new([Arc::new(operators) as _]).unwrap();
        let (expected, expected_losses) = trained(&context, alone.path(), 4);
        let workers: Vec<_> = groups(together.path(), 2)
            .into_iter()
            .map(|group| {
                let context = Context { group: Some(group), ..context.clone() };
                let folder = together.path().to_owned();
                thread::spawn(move || trained(&context, &folder, 0))
            })
            .collect();
        let mut trained = workers.into_iter().map(|worker| worker.join().unwrap());
        let (params, losses) = trained.next().unwrap();
        let (_, other_losses) = trained.next().unwrap();
        assert_eq!(losses, other_losses);
        // With quantizers a value may lie on the other side of a border.
        for ((loss, expected), tolerance) in losses.iter().zip(&expected_losses).zip([1e-6, 1e-3]) {
            let difference = (loss - expected).abs();
            assert!(difference < tolerance * expected, "{losses:?} {expected_losses:?}");
        }
        assert_eq!(params.0.len(), expected.0.len());
        for (name, tensor) in &params.0 {
            let difference = (tensor - &expected.0[name]).abs().max().double_value(&[]);
            let size = expected.0[name].abs().max().double_value(&[]);
            assert!(difference <= 1e-4 * size.max(1e-2), "{name}: {difference} of {size}");
        }
    }
}
