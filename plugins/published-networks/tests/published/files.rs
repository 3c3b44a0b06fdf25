//! Files with the tensors of a network, whose numbers follow from their names.

use std::path::PathBuf;

use spacewright_core::{
    foreign::{ModelFile, OpenSizes},
    import::{ImportError, ImportedNetwork},
};
use spacewright_published_networks::readers;

/// A tensor that is written into a file.
#[derive(Clone)]
pub struct Tensor {
    pub name: String,
    pub shape: Vec<usize>,
    pub data: Vec<f32>,
}

/// What timm says of a network.
pub struct Published {
    pub parameters: u64,
    pub multiply_adds: u64,
    pub side: usize,
    pub tensors: Vec<Tensor>,
}

/// Numbers from −1 to 1 that follow from a name.
pub fn noise(name: &str) -> impl Iterator<Item = f32> {
    let step = |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
    let start = name.bytes().fold(2_166_136_261, step);
    (0u32..).map(move |at| {
        let mut x = start.wrapping_add(at.wrapping_mul(2_654_435_761));
        x = (x ^ x >> 16).wrapping_mul(0x7feb_352d);
        x = (x ^ x >> 15).wrapping_mul(0x846c_a68b);
        (f64::from(x ^ x >> 16) / 2_147_483_648.0 - 1.0) as f32
    })
}

impl Tensor {
    /// A tensor whose numbers keep values of a network at about one size.
    pub fn new(name: String, shape: Vec<usize>) -> Self {
        let inputs: usize = shape.iter().skip(1).product();
        let (center, spread) = match name.rsplit('.').next().unwrap() {
            "weight" if shape.len() > 1 => (0.0, (3.0 / inputs as f64).sqrt() as f32),
            "weight" => (1.5, 0.5),
            "running_var" => (1.0, 0.5),
            _ => (0.0, 0.1),
        };
        let data = noise(&name).take(shape.iter().product()).map(|x| center + spread * x).collect();
        Self { name, shape, data }
    }
}

impl Published {
    /// The network of this name in timm.
    pub fn timm(name: &str) -> Self {
        let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        path.push(format!("tests/published/timm/{name}.txt"));
        let text = std::fs::read_to_string(path).unwrap();
        let (head, layers) = text.split_once('\n').unwrap();
        let numbers = head.split([':', ',']).skip(1);
        let numbers: Vec<u64> =
            numbers.map(|part| part.split_whitespace().next().unwrap().parse().unwrap()).collect();
        let [parameters, multiply_adds, side] = numbers[..] else { panic!("{head}") };
        let mut tensors = Vec::new();
        for layer in layers.lines() {
            let mut words = layer.split(' ');
            let (name, kind) = (words.next().unwrap(), words.next().unwrap());
            let shape: Vec<usize> = words.map(|size| size.parse().unwrap()).collect();
            let mut add = |part, shape| tensors.push(Tensor::new(format!("{name}.{part}"), shape));
            match kind {
                "norm" => {
                    for part in ["weight", "bias", "running_mean", "running_var"] {
                        add(part, shape.clone());
                    }
                    add("num_batches_tracked", Vec::new());
                }
                "biased" => {
                    add("bias", shape[..1].to_vec());
                    add("weight", shape);
                }
                _ => add("weight", shape),
            }
        }
        Self { parameters, multiply_adds, side: side as usize, tensors }
    }

    pub fn safetensors(&self) -> Vec<u8> {
        safetensors(&self.tensors, None)
    }
}

/// Whether a tensor counts the steps of a training: 64-bit integers, all 0.
fn counts(tensor: &Tensor) -> bool {
    tensor.name.ends_with("num_batches_tracked")
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    match counts(tensor) {
        true => vec![0; 8 * tensor.data.len()],
        false => tensor.data.iter().flat_map(|number| number.to_le_bytes()).collect(),
    }
}

/// A safetensors file, with the name of its network in its metadata.
pub fn safetensors(tensors: &[Tensor], architecture: Option<&str>) -> Vec<u8> {
    let mut data = Vec::new();
    let metadata = architecture.map(|name| format!(r#","architecture":"{name}""#));
    let metadata = metadata.unwrap_or_default();
    let mut header = format!(r#"{{"__metadata__":{{"format":"pt"{metadata}}}"#);
    for tensor in tensors {
        let start = data.len();
        data.extend(bytes(tensor));
        let (Tensor { name, shape, .. }, end) = (tensor, data.len());
        let kind = if counts(tensor) { "I64" } else { "F32" };
        header += &format!(
            r#","{name}":{{"dtype":"{kind}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
        );
    }
    header.push('}');
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

/// A file as `torch.save` wrote it before PyTorch 1.6, each tensor in a storage of its own.
pub fn legacy_torch(tensors: &[Tensor]) -> Vec<u8> {
    let text =
        |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let int = |number: usize| [b"J", &(number as u32).to_le_bytes()[..]].concat();
    let ints = |numbers: &[usize]| {
        let numbers = numbers.iter().flat_map(|number| int(*number)).collect();
        [b"(".to_vec(), numbers, b"t".to_vec()].concat()
    };
    let mut file =
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}".to_vec();
    file.extend([&text("little_endian"), &b"\x88s."[..]].concat());
    file.extend(b"\x80\x02ccollections\nOrderedDict\n)R(");
    let (mut keys, mut storages) = (b"\x80\x02](".to_vec(), Vec::new());
    for (key, tensor) in tensors.iter().enumerate() {
        let (key, elements) = (text(&key.to_string()), tensor.data.len());
        let kind: &[u8] = if counts(tensor) { b"LongStorage" } else { b"FloatStorage" };
        let strides: Vec<usize> =
            (1..=tensor.shape.len()).map(|axis| tensor.shape[axis..].iter().product()).collect();
        file.extend(text(&tensor.name));
        file.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        file.extend([&text("storage"), &b"ctorch\n"[..], kind, b"\n", &key].concat());
        file.extend([&text("cpu")[..], &int(elements), b"NtQ"].concat());
        file.extend([int(0), ints(&tensor.shape), ints(&strides)].concat());
        file.extend(b"\x89ccollections\nOrderedDict\n)RtR");
        keys.extend(key);
        storages.extend((elements as u64).to_le_bytes());
        storages.extend(bytes(tensor));
    }
    [&file[..], b"u.", &keys, b"e.", &storages].concat()
}

/// Reads a file with the only reader that knows it.
pub fn read(file: &ModelFile<'_>, sizes: &OpenSizes) -> Result<ImportedNetwork, ImportError> {
    let readers = readers();
    let mut knowing = readers.iter().filter(|reader| reader.recognizes(file));
    let reader = knowing.next().expect("a reader knows the file");
    assert!(knowing.next().is_none(), "two readers know the file");
    reader.read(file, sizes)
}

/// Reads a file in memory.
pub fn import(content: &[u8], side: Option<u64>) -> Result<ImportedNetwork, ImportError> {
    let sizes = side.map(|side| ("side".to_owned(), side)).into_iter().collect();
    read(&ModelFile::in_memory(content), &sizes)
}
