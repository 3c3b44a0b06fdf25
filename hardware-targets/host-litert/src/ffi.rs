//! LiteRT's C interface (`litert/c`), as far as compiled models need it: the only unsafe code of
//! this crate. Everything that it gives out is safe to use.
//!
//! Options for the processor are text: a `xnnpack` entry in TOML among a model's options.
#![allow(unsafe_code, reason = "calls the functions of a C library")]

use std::{
    ffi::{CString, c_char, c_int, c_void},
    path::Path,
    ptr,
    sync::{Mutex, PoisonError},
};

use spacewright_core::{foreign::check_size, model::sizes_as_text};

use crate::error::LiteRtError;

type Status = c_int;
type Handle = *mut c_void;

macro_rules! functions {
    ($($name:ident = $symbol:literal($($argument:ty),*) $(-> $result:ty)?;)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Functions {
            fn of(library: &libloading::Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    // SAFETY: the types are those of the library's headers.
                    $($name: *unsafe { library.get($symbol) }?,)*
                })
            }
        }
    };
}

functions! {
    create_environment =
        "LiteRtCreateEnvironment"(c_int, *const EnvironmentOption, *mut Handle) -> Status;
    create_model =
        "LiteRtCreateModelFromBuffer"(Handle, *const c_void, usize, *mut Handle) -> Status;
    destroy_model = "LiteRtDestroyModel"(Handle);
    create_options = "LiteRtCreateOptions"(*mut Handle) -> Status;
    destroy_options = "LiteRtDestroyOptions"(Handle);
    set_hardware = "LiteRtSetOptionsHardwareAccelerators"(Handle, c_int) -> Status;
    create_entry = "LiteRtCreateOpaqueOptions"(
        *const c_char, *mut c_void, unsafe extern "C" fn(*mut c_void), *mut Handle
    ) -> Status;
    add_entry = "LiteRtAddOpaqueOptions"(Handle, Handle) -> Status;
    compile = "LiteRtCreateCompiledModel"(Handle, Handle, Handle, *mut Handle) -> Status;
    destroy_compiled = "LiteRtDestroyCompiledModel"(Handle);
    resize_input = "LiteRtCompiledModelResizeInputTensor"(
        Handle, usize, usize, *const c_int, usize
    ) -> Status;
    output_layouts = "LiteRtGetCompiledModelOutputTensorLayouts"(
        Handle, usize, usize, *mut Layout, bool
    ) -> Status;
    input_needs = "LiteRtGetCompiledModelInputBufferRequirements"(
        Handle, usize, usize, *mut Handle
    ) -> Status;
    output_needs = "LiteRtGetCompiledModelOutputBufferRequirements"(
        Handle, usize, usize, *mut Handle
    ) -> Status;
    create_buffer = "LiteRtCreateManagedTensorBufferFromRequirements"(
        Handle, *const TensorType, Handle, *mut Handle
    ) -> Status;
    destroy_buffer = "LiteRtDestroyTensorBuffer"(Handle);
    lock = "LiteRtLockTensorBuffer"(Handle, *mut *mut c_void, c_int) -> Status;
    unlock = "LiteRtUnlockTensorBuffer"(Handle) -> Status;
    run = "LiteRtRunCompiledModel"(
        Handle, usize, usize, *mut Handle, usize, *mut Handle
    ) -> Status;
}

/// `LiteRtEnvOption`.
#[repr(C)]
struct EnvironmentOption {
    tag: c_int,
    value: Any,
}

/// `LiteRtAny` with an integer.
#[repr(C)]
struct Any {
    kind: c_int,
    value: i64,
}

/// `LiteRtRankedTensorType`.
#[repr(C)]
#[derive(Clone, Copy)]
struct TensorType {
    element: c_int,
    layout: Layout,
}

/// `LiteRtLayout`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Layout {
    /// Rank in seven bits, then whether there are strides.
    rank: u32,
    sizes: [i32; 8],
    strides: [u32; 8],
}

/// `kLiteRtAnyTypeInt`
const INTEGER: c_int = 2;
/// `kLiteRtEnvOptionTagAutoRegisterAccelerators`, `kLiteRtEnvOptionTagMinLoggerSeverity`
const ACCELERATORS: c_int = 24;
const SEVERITY: c_int = 25;
const SILENT: i64 = 4;
/// `kLiteRtHwAcceleratorCpu`
const CPU: c_int = 1;
const READ: c_int = 0;
const WRITE: c_int = 1;

/// Whose kernels run a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernels {
    /// XNNPACK's where it has them, else TFLite's own: what LiteRT does by itself.
    Xnnpack,
    /// TFLite's own.
    Builtin,
}

/// Whose kernels run a model, and with how many threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CpuOptions {
    pub kernels: Kernels,
    pub threads: usize,
}

impl CpuOptions {
    /// The options `xnnpack` of a model.
    fn text(self) -> CString {
        let mode = match self.kernels {
            Kernels::Xnnpack => "xnnpack",
            Kernels::Builtin => "builtin",
        };
        let text = format!("kernel_mode = \"{mode}\"\nnum_threads = {}\n", self.threads);
        CString::new(text).unwrap_or_default()
    }
}

/// Type and sizes of an input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorSpec {
    /// As in [`TensorSummary`](spacewright_core::model::TensorSummary).
    pub element: String,
    pub shape: Vec<i64>,
}

impl TensorSpec {
    fn kind(&self) -> Result<TensorType, LiteRtError> {
        let (element, _) = element(&self.element)
            .ok_or_else(|| LiteRtError::Element { element: self.element.clone() })?;
        let mut sizes = [0; 8];
        let too_large = || LiteRtError::TensorSize { shape: sizes_as_text(&self.shape) };
        if self.shape.len() > sizes.len() {
            return Err(too_large());
        }
        for (size, wanted) in sizes.iter_mut().zip(&self.shape) {
            *size = i32::try_from(*wanted).map_err(|_| too_large())?;
        }
        let layout = Layout { rank: self.shape.len() as u32, sizes, strides: [0; 8] };
        Ok(TensorType { element, layout })
    }

    /// Size in bytes; sizes of tensors are checked before.
    pub(crate) fn bytes(&self) -> usize {
        self.elements().saturating_mul(element(&self.element).map_or(1, |(_, bytes)| bytes))
    }

    /// How many elements it has.
    pub(crate) fn elements(&self) -> usize {
        let sizes = self.shape.iter().map(|size| usize::try_from(*size).unwrap_or(0));
        sizes.fold(1, usize::saturating_mul)
    }
}

/// What goes into a model and comes out of it.
#[derive(Debug, Clone)]
pub(crate) struct ModelSpec {
    pub inputs: Vec<TensorSpec>,
    /// Their shapes are told anew where inputs are resized.
    pub outputs: Vec<TensorSpec>,
    /// Whether shapes of inputs are not those of the file.
    pub resized: bool,
}

/// LiteRT's number of an element type, and its size in bytes.
fn element(name: &str) -> Option<(c_int, usize)> {
    Some(match name {
        "float32" => (1, 4),
        "int32" => (2, 4),
        "uint8" => (3, 1),
        "int64" => (4, 8),
        "bool" => (6, 1),
        "int16" => (7, 2),
        "int8" => (9, 1),
        "float16" => (10, 2),
        "float64" => (11, 8),
        _ => return None,
    })
}

/// The loaded library with its environment, which lives as long as the process.
pub(crate) struct LiteRt {
    functions: Functions,
    environment: Handle,
    /// Models are compiled one at a time.
    compiling: Mutex<()>,
}

// SAFETY: the environment is only handed to calls that compile, one at a time, and to those that
// make buffers, which do not change it.
unsafe impl Send for LiteRt {}
// SAFETY: as above.
unsafe impl Sync for LiteRt {}

/// An error where the status of a call that should do `task` is not 0.
fn check_status(status: Status, task: &'static str) -> Result<(), LiteRtError> {
    if status == 0 { Ok(()) } else { Err(LiteRtError::Call { task, status }) }
}

impl LiteRt {
    pub(crate) fn load(path: &Path) -> Result<Self, LiteRtError> {
        // SAFETY: loading runs the library's initializers; the user has named or fetched it.
        let library = unsafe { libloading::Library::new(path) }.map_err(LiteRtError::Load)?;
        let functions = Functions::of(&library).map_err(LiteRtError::Version)?;
        // Its threads and kernels may outlive every handle.
        std::mem::forget(library);
        let number = |tag, value| EnvironmentOption { tag, value: Any { kind: INTEGER, value } };
        let options = [number(ACCELERATORS, i64::from(CPU)), number(SEVERITY, SILENT)];
        let mut environment = ptr::null_mut();
        let count = options.len() as c_int;
        // SAFETY: both pointers are valid for the call.
        let status =
            unsafe { (functions.create_environment)(count, options.as_ptr(), &mut environment) };
        check_status(status, "start")?;
        Ok(Self { functions, environment, compiling: Mutex::default() })
    }
}

/// A model that is ready to run, with a buffer for each input and output.
pub(crate) struct CompiledModel {
    library: &'static LiteRt,
    model: Owned,
    compiled: Owned,
    inputs: TensorBuffers,
    outputs: TensorBuffers,
    /// The model refers to it.
    _file: Vec<u8>,
}

// SAFETY: handles are owned by this value, and LiteRT does not tie them to a thread.
unsafe impl Send for CompiledModel {}

/// A handle that is destroyed when dropped.
struct Owned {
    handle: Handle,
    destroy: unsafe extern "C" fn(Handle),
}

impl Owned {
    const fn none(destroy: unsafe extern "C" fn(Handle)) -> Self {
        Self { handle: ptr::null_mut(), destroy }
    }

    fn release(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: the handle is live, and forgotten afterwards.
            unsafe { (self.destroy)(self.handle) };
            self.handle = ptr::null_mut();
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.release();
    }
}

struct TensorBuffers {
    handles: Vec<Handle>,
    /// They own what `handles` lists.
    owned: Vec<Owned>,
    bytes: Vec<usize>,
}

unsafe extern "C" fn free_text(text: *mut c_void) {
    // SAFETY: the only texts that are handed out come from `CString::into_raw`.
    drop(unsafe { CString::from_raw(text.cast()) });
}

impl CompiledModel {
    /// Compiles a file, and gives the model its inputs' shapes where they are not the file's; sizes
    /// of outputs then follow from these.
    pub(crate) fn new(
        library: &'static LiteRt,
        file: Vec<u8>,
        cpu: CpuOptions,
        spec: &mut ModelSpec,
    ) -> Result<Self, LiteRtError> {
        let f = &library.functions;
        let _one = library.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        let mut model = Owned::none(f.destroy_model);
        // SAFETY: the file outlives the model: it is kept beside it and dropped after it.
        let status = unsafe {
            let data = file.as_ptr().cast();
            (f.create_model)(library.environment, data, file.len(), &mut model.handle)
        };
        check_status(status, "read the file")?;
        let options = options(f, cpu)?;
        let mut compiled = Owned::none(f.destroy_compiled);
        // SAFETY: all handles are live.
        let status = unsafe {
            let environment = library.environment;
            (f.compile)(environment, model.handle, options.handle, &mut compiled.handle)
        };
        check_status(
            status,
            "compile the model: it may hold operators that this version does not know",
        )?;
        if spec.resized {
            resize(f, compiled.handle, spec)?;
        }
        let buffers =
            |tensors: &[TensorSpec], needs| buffers(library, compiled.handle, tensors, needs);
        let (inputs, outputs) =
            (buffers(&spec.inputs, f.input_needs)?, buffers(&spec.outputs, f.output_needs)?);
        Ok(Self { library, model, compiled, inputs, outputs, _file: file })
    }

    /// Runs the model once, on what the inputs hold.
    pub(crate) fn run(&mut self) -> Result<(), LiteRtError> {
        let (inputs, outputs) = (&mut self.inputs.handles, &mut self.outputs.handles);
        // SAFETY: all handles are live, and the lists are as long as said.
        let status = unsafe {
            let (n, m) = (inputs.len(), outputs.len());
            let (inputs, outputs) = (inputs.as_mut_ptr(), outputs.as_mut_ptr());
            (self.library.functions.run)(self.compiled.handle, 0, n, inputs, m, outputs)
        };
        check_status(status, "run the model")
    }

    /// Fills an input.
    pub(crate) fn write(&mut self, input: usize, bytes: &[u8]) -> Result<(), LiteRtError> {
        if bytes.len() != self.inputs.bytes[input] {
            let needed = self.inputs.bytes[input];
            return Err(LiteRtError::InputSize { needed, found: bytes.len() });
        }
        self.locked(self.inputs.handles[input], WRITE, |memory| {
            // SAFETY: LiteRT makes no buffer that is smaller than its tensor, whose size was
            // compared above.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), memory.cast(), bytes.len()) }
        })
    }

    /// What an output holds.
    pub(crate) fn read(&mut self, output: usize) -> Result<Vec<u8>, LiteRtError> {
        let mut bytes = vec![0; self.outputs.bytes[output]];
        self.locked(self.outputs.handles[output], READ, |memory| {
            // SAFETY: LiteRT makes no buffer that is smaller than its tensor, which is as large
            // as `bytes`.
            unsafe { ptr::copy_nonoverlapping(memory.cast(), bytes.as_mut_ptr(), bytes.len()) }
        })?;
        Ok(bytes)
    }

    fn locked(
        &self,
        buffer: Handle,
        mode: c_int,
        access: impl FnOnce(*mut c_void),
    ) -> Result<(), LiteRtError> {
        let f = &self.library.functions;
        let mut memory = ptr::null_mut();
        // SAFETY: the buffer is live; it is unlocked before anything else is done with it.
        let status = unsafe { (f.lock)(buffer, &mut memory, mode) };
        check_status(status, "give access to a buffer")?;
        access(memory);
        // SAFETY: it was locked above.
        check_status(unsafe { (f.unlock)(buffer) }, "release a buffer")
    }
}

impl Drop for CompiledModel {
    fn drop(&mut self) {
        // In this order: buffers, what runs, what it was made from.
        self.inputs.owned.clear();
        self.outputs.owned.clear();
        self.compiled.release();
        self.model.release();
    }
}

fn options(f: &Functions, cpu: CpuOptions) -> Result<Owned, LiteRtError> {
    let mut options = Owned::none(f.destroy_options);
    let text = cpu.text();
    let mut entry = ptr::null_mut();
    // SAFETY: the identifier is static, and the entry takes over the text and frees it; the
    // options take over the entry.
    unsafe {
        check_status((f.create_options)(&mut options.handle), "make options")?;
        check_status((f.set_hardware)(options.handle, CPU), "choose the processor")?;
        let (name, text) = (c"xnnpack".as_ptr(), text.into_raw().cast());
        check_status((f.create_entry)(name, text, free_text, &mut entry), "make options")?;
        check_status((f.add_entry)(options.handle, entry), "add options")?;
    }
    Ok(options)
}

fn resize(f: &Functions, compiled: Handle, spec: &mut ModelSpec) -> Result<(), LiteRtError> {
    for (index, input) in spec.inputs.iter().enumerate() {
        let Layout { sizes, .. } = input.kind()?.layout;
        // SAFETY: the handle is live, and the list is longer than said.
        let status =
            unsafe { (f.resize_input)(compiled, 0, index, sizes.as_ptr(), input.shape.len()) };
        check_status(status, "give an input these sizes")?;
    }
    let mut layouts = vec![Layout::default(); spec.outputs.len()];
    // SAFETY: the handle is live, and the list is as long as said.
    let status =
        unsafe { (f.output_layouts)(compiled, 0, layouts.len(), layouts.as_mut_ptr(), true) };
    check_status(status, "run the model with these sizes")?;
    for (output, Layout { rank, sizes, .. }) in spec.outputs.iter_mut().zip(layouts) {
        let rank = (rank & 0x7f) as usize;
        output.shape = sizes.iter().take(rank).map(|size| i64::from(*size)).collect();
        check_size("output", "", &output.element, &output.shape)?;
    }
    Ok(())
}

type Needs = unsafe extern "C" fn(Handle, usize, usize, *mut Handle) -> Status;

fn buffers(
    library: &LiteRt,
    compiled: Handle,
    tensors: &[TensorSpec],
    needs: Needs,
) -> Result<TensorBuffers, LiteRtError> {
    let f = &library.functions;
    let mut buffers = TensorBuffers { handles: Vec::new(), owned: Vec::new(), bytes: Vec::new() };
    for (index, tensor) in tensors.iter().enumerate() {
        let kind = tensor.kind()?;
        let (mut requirements, mut buffer) = (ptr::null_mut(), Owned::none(f.destroy_buffer));
        // SAFETY: the compiled model is live and owns the requirements.
        unsafe {
            let status = needs(compiled, 0, index, &mut requirements);
            check_status(status, "say what buffers the model needs")?;
            let (environment, made) = (library.environment, &mut buffer.handle);
            check_status(
                (f.create_buffer)(environment, &kind, requirements, made),
                "make a buffer",
            )?;
        }
        buffers.handles.push(buffer.handle);
        buffers.owned.push(buffer);
        buffers.bytes.push(tensor.bytes());
    }
    Ok(buffers)
}
