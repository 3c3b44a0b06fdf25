//! Named tensors: allocation, initial values, slices, files.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use rand::Rng;
use rand_distr::StandardNormal;
use spacewright_core::{graph::WeightRole, random, train::TrainError};
use tch::{Device, Kind, Tensor};

use torch_sys::C_tensor;

use crate::{kernels::take, layout::Layout, replace::replace};

/// Trained tensors by name: `<node>.<role>`, `<node>.weight_scale`, `<value>.scale`,
/// `<value>.offset`.
#[derive(Debug, Default)]
pub struct Params(pub BTreeMap<String, Tensor>);

/// Last part of the names of a node's weight scales, one per output channel.
pub const WEIGHT_SCALE: &str = "weight_scale";
/// Last part of the name of an activation's scale.
pub const SCALE: &str = "scale";
/// Last part of the name of an activation's offset, the real value of integer 0.
pub const OFFSET: &str = "offset";

/// Whether a tensor belongs to the quantizers.
pub fn is_quantizer(name: &str) -> bool {
    [WEIGHT_SCALE, SCALE, OFFSET].iter().any(|part| last_part(name) == *part)
}

/// Whether a tensor holds scales.
pub fn is_scale(name: &str) -> bool {
    [WEIGHT_SCALE, SCALE].contains(&last_part(name))
}

/// Whether weight decay applies to a tensor.
pub fn is_decayed(name: &str) -> bool {
    last_part(name) == WeightRole::Weight.name()
}

/// The node or value that a tensor belongs to.
pub fn node_of(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(node, _)| node)
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn sizes(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|&size| size as i64).collect()
}

impl Params {
    /// Allocates weights and draws their initial values (He et al., arXiv 1502.01852: fan-out for
    /// convolutions of several channels, fan-in for those of one, depth-wise ones above all); each depends on the seed and its name alone.
    pub fn init(layout: &Layout, seed: u64) -> Self {
        let floats = (Kind::Float, Device::Cpu);
        let tensor = |(name, (role, shape)): (&String, &(WeightRole, Vec<usize>))| {
            let size = sizes(shape);
            let value = match role {
                WeightRole::Gamma => Tensor::ones(size, floats),
                WeightRole::Beta | WeightRole::Bias => Tensor::zeros(size, floats),
                WeightRole::Weight => {
                    let area: usize = shape[2..].iter().product();
                    let fan = if shape.len() == 4 && shape[1] > 1 {
                        shape[0] * area
                    } else {
                        shape[1] * area
                    };
                    let gain = if shape.len() == 4 { 2.0 } else { 1.0 };
                    // Not torch's generator: it is shared by all threads.
                    let normal =
                        random::generator(seed, &["init", name]).sample_iter(StandardNormal);
                    let values: Vec<f32> = normal.take(shape.iter().product()).collect();
                    Tensor::from_slice(&values).view(size.as_slice()) * (gain / fan as f64).sqrt()
                }
            };
            (name.clone(), value.set_requires_grad(true))
        };
        Self(layout.weights.iter().map(tensor).collect())
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Result<&Tensor, TrainError> {
        self.0.get(name).ok_or_else(|| TrainError::MissingTensor { name: name.to_owned() })
    }

    /// The part of a tensor that a configuration of this shape uses: the first channels and the
    /// centre of the kernel.
    pub fn slice(&self, name: &str, shape: &[usize]) -> Result<Tensor, TrainError> {
        let full = self.get(name)?;
        let sizes = sizes(shape);
        if full.size() == sizes {
            return Ok(full.shallow_clone());
        }
        let fits = full.dim() == sizes.len() && full.size().iter().zip(&sizes).all(|(a, b)| a >= b);
        if fits { part(full, &sizes) } else { Err(wrong_shape(name, full, shape.to_vec())) }
    }

    /// The same on a device.
    pub fn on(self, device: Device) -> Self {
        let moved = |(name, tensor): (String, Tensor)| {
            (name, placed(&tensor, device).set_requires_grad(true))
        };
        Self(self.0.into_iter().map(moved).collect())
    }

    /// Where the tensors are.
    pub fn device(&self) -> Device {
        self.0.values().next().map_or(Device::Cpu, Tensor::device)
    }

    /// Adds a tensor that is trained, where the others are.
    pub fn insert(&mut self, name: String, value: Tensor) {
        let value = placed(&value, self.device());
        self.0.insert(name, value.set_requires_grad(true));
    }

    /// Copies what `from` has of the same name in these segments: first channels and centre of
    /// kernels, as much as fits. The number of tensors copied.
    pub fn start_from(&mut self, from: &Self, segments: &[String]) -> usize {
        let wanted = |name: &str| {
            let segment = name.split('.').next().unwrap_or_default();
            segments.iter().any(|wanted| wanted == segment)
        };
        let mut copied = 0;
        tch::no_grad(|| {
            for (name, target) in self.0.iter_mut().filter(|(name, _)| wanted(name)) {
                let Some(source) = from.0.get(name) else { continue };
                let common: Vec<usize> = target
                    .size()
                    .iter()
                    .zip(source.size())
                    .map(|(&a, b)| a.min(b) as usize)
                    .collect();
                if let (Some(mut to), Some(part)) = (slice(target, &common), slice(source, &common))
                {
                    to.copy_(&part);
                    copied += 1;
                }
            }
        });
        copied
    }

    /// Takes over all tensors but those of some nodes from a file that holds each with the same shape.
    pub fn replace_from(&mut self, path: &Path, all_but: &[String]) -> Result<(), TrainError> {
        let given = Self::load(path)?;
        let is_kept = |name: &str| all_but.iter().any(|node| node == node_of(name));
        for (name, target) in self.0.iter_mut().filter(|(name, _)| !is_kept(name)) {
            let found = given.get(name).map_err(|error| TrainError::file(path, error))?;
            if found.size() != target.size() {
                let error = wrong_shape(name, found, shape(target));
                return Err(TrainError::file(path, error));
            }
            *target = placed(found, target.device()).set_requires_grad(true);
        }
        Ok(())
    }

    /// Makes each tensor a weighted mean of what it is and of the part that it uses of one of the same
    /// name in a file: first channels and centre of kernels. The file's `share` is from 0 to 1; it must
    /// have a large enough tensor for each.
    pub fn mix_parts_of(&mut self, path: &Path, share: f64) -> Result<(), TrainError> {
        let given = Self::load(path)?;
        for (name, target) in &mut self.0 {
            let part = given.slice(name, &shape(target));
            let part = part.map_err(|error| TrainError::file(path, error))?;
            let part = part.detach().to_device(target.device());
            let mixed = target.detach() * (1.0 - share) + part * share;
            *target = placed(&mixed, target.device()).set_requires_grad(true);
        }
        Ok(())
    }

    /// Writes all tensors to a safetensors file, atomically.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        let kept: Vec<(&str, Tensor)> =
            self.0.iter().map(|(name, tensor)| (name.as_str(), in_file(tensor))).collect();
        save(path, &kept)
    }

    /// Reads what [`save`](Self::save) wrote, or the weights of another program in any precision.
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        let leaf = |(name, tensor): (String, Tensor)| match tensor.kind() {
            Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16 => {
                Ok((name, tensor.to_kind(Kind::Float).set_requires_grad(true)))
            }
            other => {
                let reason = format!("tensor `{name}` holds {other:?}, no real numbers");
                Err(TrainError::file(path, reason))
            }
        };
        load(path)?.into_iter().map(leaf).collect::<Result<_, _>>().map(Self)
    }
}

/// A tensor on a device, in the order in which it is read there: on the processor, kernels of convolutions with input
/// channels innermost (channels-last), where that is another order.
pub fn placed(tensor: &Tensor, device: Device) -> Tensor {
    let tensor = tensor.detach().to_device(device);
    match tensor.size()[..] {
        [_, inputs, rows, columns] if device == Device::Cpu && inputs > 1 && rows * columns > 1 => {
            tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
        }
        _ => tensor.contiguous(),
    }
}

/// A tensor as files hold it.
pub fn in_file(tensor: &Tensor) -> Tensor {
    tensor.detach().to_device(Device::Cpu).contiguous()
}

/// Writes tensors to a safetensors file, atomically.
pub fn save<S: AsRef<str>>(path: &Path, tensors: &[(S, Tensor)]) -> Result<(), TrainError> {
    replace(path, |beside| Tensor::write_safetensors(tensors, beside))
}

/// Reads a safetensors file.
pub fn load(path: &Path) -> Result<Vec<(String, Tensor)>, TrainError> {
    fs::File::open(path).map_err(|error| TrainError::file(path, error))?;
    Tensor::read_safetensors(path).map_err(|error| TrainError::file(path, error))
}

/// The tensors of a file, each to be taken out by its name.
pub struct NamedTensors {
    /// The file, for messages.
    pub path: PathBuf,
    /// Those that were not taken yet.
    pub tensors: BTreeMap<String, Tensor>,
}

impl NamedTensors {
    /// Reads a safetensors file.
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        Ok(Self { path: path.to_owned(), tensors: load(path)?.into_iter().collect() })
    }

    /// The tensor of this name, which the file has to hold.
    pub fn take(&mut self, name: &str) -> Result<Tensor, TrainError> {
        let missing = || TrainError::MissingTensor { name: name.to_owned() };
        let tensor = self.tensors.remove(name).ok_or_else(missing);
        tensor.map_err(|error| TrainError::file(&self.path, error))
    }
}

/// The elements of a tensor, row-major; `doing` says what for, should it fail.
pub fn floats(doing: &'static str, tensor: &Tensor) -> Result<Vec<f32>, TrainError> {
    let flat = in_file(tensor).flatten(0, -1);
    Vec::try_from(flat).map_err(|error| TrainError::Computation { doing, source: Box::new(error) })
}

fn shape(tensor: &Tensor) -> Vec<usize> {
    tensor.size().into_iter().map(|size| size as usize).collect()
}

fn wrong_shape(name: &str, found: &Tensor, needed: Vec<usize>) -> TrainError {
    TrainError::TensorShape { name: name.to_owned(), found: shape(found), needed }
}

/// A part of a parameter, whose gradients go to the parameter's own; `sizes` has one for each dimension, none larger
/// than the parameter's.
#[allow(unsafe_code, reason = "calls a function of cpp/part.cpp with a live tensor")]
fn part(full: &Tensor, sizes: &[i64]) -> Result<Tensor, TrainError> {
    unsafe extern "C" {
        fn spacewright_part(full: *const C_tensor, sizes: *const i64) -> *mut C_tensor;
    }
    // SAFETY: tensor and sizes outlive the call, which does not keep the pointers.
    take("a part of a parameter", unsafe { spacewright_part(full.as_ptr(), sizes.as_ptr()) })
}

fn slice(full: &Tensor, shape: &[usize]) -> Option<Tensor> {
    let mut part = full.shallow_clone();
    if full.dim() != shape.len() {
        return None;
    }
    for (dimension, (&size, available)) in shape.iter().zip(full.size()).enumerate() {
        let (size, dimension) = (size as i64, dimension as i64);
        if size > available {
            return None;
        }
        if size < available {
            let start = if dimension >= 2 { (available - size) / 2 } else { 0 };
            part = part.narrow(dimension, start, size);
        }
    }
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::randn;

    #[test]
    fn slices_take_first_channels_and_the_centre() {
        let full = Tensor::arange(2 * 3 * 5 * 5, (Kind::Float, Device::Cpu)).view([2, 3, 5, 5]);
        let part = slice(&full, &[1, 2, 3, 3]).unwrap();
        assert_eq!(part.size(), [1, 2, 3, 3]);
        assert_eq!(part.double_value(&[0, 1, 0, 0]), 25.0 + 6.0);
        assert!(slice(&full, &[3, 3, 5, 5]).is_none());
    }

    /// As the library's own, which makes a gradient as large as the parameter for each part.
    #[test]
    fn gradients_of_parts_add_up_in_the_parameter() {
        let shapes: [&[usize]; 4] = [&[6, 4, 5, 5], &[2, 3, 3, 3], &[6, 4, 1, 1], &[5, 4, 3, 3]];
        let gradient = |part: &dyn Fn(&Params, &[usize]) -> Tensor| {
            let mut params = Params::default();
            params.insert("w".into(), randn("w", &[6, 4, 5, 5]));
            for shape in shapes {
                let part = part(&params, shape);
                (&part * part.square()).sum(Kind::Float).backward();
            }
            params.0["w"].grad()
        };
        let own = gradient(&|params, shape| params.slice("w", shape).unwrap());
        let library = gradient(&|params, shape| slice(&params.0["w"], shape).unwrap());
        assert!(own.equal(&library));
    }

    #[test]
    fn files_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let mut params = Params::default();
        params.insert("n.weight".into(), Tensor::from_slice(&[1.5f32, -2.0]));
        params.save(&path).unwrap();
        let read = Params::load(&path).unwrap();
        assert!(read.0["n.weight"].equal(&params.0["n.weight"]));
    }

    #[test]
    fn only_the_named_segments_start_from_a_file() {
        let of = |value: f32, channels: i64| {
            let mut params = Params::default();
            for name in ["stem.0.conv.weight", "stage1.0.project.weight"] {
                let shape = [channels, 2, 1, 1];
                params.insert(
                    name.into(),
                    Tensor::full(shape, f64::from(value), (Kind::Float, Device::Cpu)),
                );
            }
            params
        };
        let mut params = of(0.0, 4);
        assert_eq!(params.start_from(&of(7.0, 3), &["stem".into()]), 1);
        assert_eq!(params.0["stem.0.conv.weight"].double_value(&[2, 1, 0, 0]), 7.0);
        assert_eq!(params.0["stem.0.conv.weight"].double_value(&[3, 0, 0, 0]), 0.0);
        assert_eq!(params.0["stage1.0.project.weight"].abs().max().double_value(&[]), 0.0);
    }

    #[test]
    fn names_tell_what_is_decayed() {
        assert!(
            is_decayed("a.weight") && !is_decayed("a.weight_scale") && !is_decayed("a.bn.gamma")
        );
        assert!(is_quantizer("a.weight_scale") && is_quantizer("input.offset"));
    }
}
