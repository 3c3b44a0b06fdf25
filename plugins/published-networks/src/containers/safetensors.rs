//! Safetensors files: the length of a header, the header as JSON, then the data.

use safetensors::tensor::{Dtype, Metadata};
use thiserror::Error;

use crate::tensors::{Element, Tensor, Tensors};

/// Bytes of the number before the header.
const LENGTH: usize = 8;

/// Longest header that is read: that of a network of a hundred thousand tensors.
const LONGEST_HEADER: usize = 1 << 24;

/// Why a safetensors file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum SafetensorsError {
    #[error("the header of {length} bytes is longer than {most}, the most that is read")]
    LongHeader { length: u64, most: usize },
    #[error("the file ends within its header")]
    ShortHeader,
    #[error("the header cannot be read: {0}")]
    Header(String),
    #[error(
        "the tensor `{name}` has the bytes {start} to {end} of the data; expected are {expected}"
    )]
    Place { name: String, start: usize, end: usize, expected: String },
    #[error("the last tensor ends at the byte {end} of {length} bytes of data")]
    End { end: usize, length: usize },
}

/// Whether a file is one, by its beginning.
pub(crate) fn recognizes(content: &[u8]) -> bool {
    header_length(content).is_some_and(|length| {
        content.get(LENGTH) == Some(&b'{') && length <= content.len().saturating_sub(LENGTH) as u64
    })
}

fn header_length(content: &[u8]) -> Option<u64> {
    content.first_chunk::<LENGTH>().map(|bytes| u64::from_le_bytes(*bytes))
}

/// The tensors of a file. They lie side by side, and the last one ends with the file.
pub(crate) fn read(content: &[u8]) -> Result<Tensors<'_>, SafetensorsError> {
    let length = header_length(content).ok_or(SafetensorsError::ShortHeader)?;
    let header_bytes = usize::try_from(length).ok().filter(|length| *length <= LONGEST_HEADER);
    let header_bytes =
        header_bytes.ok_or(SafetensorsError::LongHeader { length, most: LONGEST_HEADER })?;
    let header = content.get(LENGTH..LENGTH + header_bytes);
    let header = header.ok_or(SafetensorsError::ShortHeader)?;
    let data = content.get(LENGTH + header_bytes..).unwrap_or_default();
    let header: Metadata = serde_json::from_slice(header)
        .map_err(|error| SafetensorsError::Header(error.to_string()))?;

    let mut tensors = Tensors::default();
    let metadata = header.metadata().as_ref();
    tensors.architecture = metadata.and_then(|metadata| metadata.get("architecture")).cloned();
    let mut infos: Vec<_> = header.tensors().into_iter().collect();
    infos.sort_by(|(a, first), (b, second)| (first.data_offsets, a).cmp(&(second.data_offsets, b)));
    let mut at = 0;
    for (name, info) in infos {
        let (start, end) = info.data_offsets;
        let bytes = data.get(start..end).filter(|_| start == at);
        let tensor = bytes.and_then(|bytes| {
            let element = element(info.dtype)?;
            Tensor::new(element, info.shape.clone(), bytes)
        });
        let Some(tensor) = tensor else {
            let expected = format!("those from {at} for {:?} {:?}", info.dtype, info.shape);
            return Err(SafetensorsError::Place { name, start, end, expected });
        };
        tensors.insert(name, tensor);
        at = end;
    }
    match at == data.len() {
        true => Ok(tensors),
        false => Err(SafetensorsError::End { end: at, length: data.len() }),
    }
}

/// `None` for types that are newer than this program.
fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        Dtype::BOOL => Element::Other(1, "bool"),
        Dtype::U8 => Element::Other(1, "uint8"),
        Dtype::I8 => Element::Other(1, "int8"),
        Dtype::U16 => Element::Other(2, "uint16"),
        Dtype::I16 => Element::Other(2, "int16"),
        Dtype::U32 => Element::Other(4, "uint32"),
        Dtype::I32 => Element::Other(4, "int32"),
        Dtype::U64 => Element::Other(8, "uint64"),
        Dtype::I64 => Element::Other(8, "int64"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut content = (header.len() as u64).to_le_bytes().to_vec();
        content.extend_from_slice(header.as_bytes());
        content.resize(content.len() + data, 0);
        content
    }

    #[track_caller]
    fn refused(header: &str, data: usize, expected: &str) {
        let error = read(&file(header, data)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    const TWO: &str = r#"{"__metadata__": {"architecture": "resnet18"},
        "b": {"dtype": "F16", "shape": [3], "data_offsets": [8, 14]},
        "a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]}}"#;

    #[test]
    fn tensors_have_their_part_of_the_data() {
        let content = file(TWO, 14);
        assert!(recognizes(&content));
        let tensors = read(&content).unwrap();
        assert_eq!(tensors.architecture.as_deref(), Some("resnet18"));
        assert_eq!(tensors.get("a").unwrap().shape(), [2, 1]);
        assert_eq!(tensors.get("b").unwrap().element(), Element::F16);
    }

    #[test]
    fn data_have_neither_holes_nor_ends() {
        refused(TWO, 13, "`b` has the bytes 8 to 14");
        refused(TWO, 15, "ends at the byte 14 of 15");
        let one = |dtype: &str, shape: &str, offsets: &str| {
            format!(
                r#"{{"a": {{"dtype": "{dtype}", "shape": {shape}, "data_offsets": {offsets}}}}}"#
            )
        };
        refused(&one("F32", "[2]", "[1, 9]"), 9, "expected are those from 0");
        refused(&one("F32", "[2]", "[0, 4]"), 4, "for F32 [2]");
        refused(&one("F32", "[2]", "[8, 0]"), 8, "the bytes 8 to 0");
        let most = u64::MAX;
        refused(&one("U8", &format!("[{most}]"), &format!("[0, {most}]")), 1, "the bytes 0 to");
        refused(&one("U4", "[2]", "[0, 1]"), 1, "cannot be read: unknown variant `U4`");
    }

    #[test]
    fn a_header_lies_within_the_file() {
        assert_eq!(read(b"{}"), Err(SafetensorsError::ShortHeader));
        assert_eq!(read(&file("{}", 0)[..9]), Err(SafetensorsError::ShortHeader));
        assert!(!recognizes(&file("{}", 0)[..9]));
        let error = read(&[0xff; 16]).unwrap_err().to_string();
        assert!(error.starts_with("the header of 18446744073709551615 bytes"), "{error}");
    }
}
