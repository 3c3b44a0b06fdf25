//! The operations of pickles that are known, and their arguments.

use super::{PickleError, Problem};

/// An operation with its argument.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Operation<'f> {
    Protocol,
    Stop,
    Mark,
    None,
    Bool(bool),
    Int(i64),
    /// More than eight bytes, little-endian.
    Long(&'f [u8]),
    Text(&'f str),
    Global {
        module: &'f str,
        name: &'f str,
    },
    EmptyTuple,
    EmptyList,
    EmptyDict,
    /// Of so many values.
    ShortTuple(usize),
    Tuple,
    Appends,
    SetItem,
    SetItems,
    Put(u32),
    Get(u32),
    Reduce,
    Build,
    PersistentId,
}

/// Takes bytes of the file, from the front.
#[derive(Debug)]
pub(super) struct Bytes<'f> {
    content: &'f [u8],
    at: usize,
}

impl<'f> Bytes<'f> {
    pub(super) fn new(content: &'f [u8], at: usize) -> Self {
        Self { content, at }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn left(&self) -> &'f [u8] {
        self.content.get(self.at..).unwrap_or_default()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let bytes = *self.left().first_chunk().ok_or(Problem::End)?;
        self.at += N;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, Problem> {
        self.array().map(u8::from_le_bytes)
    }

    fn take(&mut self, length: u64) -> Result<&'f [u8], Problem> {
        let left = self.left();
        let bytes = usize::try_from(length).ok().and_then(|length| left.get(..length));
        let bytes = bytes.ok_or(Problem::Length { length, left: left.len() })?;
        self.at += bytes.len();
        Ok(bytes)
    }

    fn line(&mut self) -> Result<&'f str, Problem> {
        let end = self.left().iter().position(|byte| *byte == b'\n').ok_or(Problem::End)?;
        let line = self.take(end as u64)?;
        self.at += 1;
        text(line)
    }

    /// The next operation and where it stands.
    pub(super) fn operation(&mut self) -> Result<(usize, Operation<'f>), PickleError> {
        let at = self.at;
        let operation = self.read().map_err(|problem| PickleError { at, problem })?;
        Ok((at, operation))
    }

    fn read(&mut self) -> Result<Operation<'f>, Problem> {
        Ok(match self.byte()? {
            0x80 => match self.byte()? {
                2 => Operation::Protocol,
                other => return Err(Problem::Protocol(other)),
            },
            b'.' => Operation::Stop,
            b'(' => Operation::Mark,
            b'N' => Operation::None,
            0x88 => Operation::Bool(true),
            0x89 => Operation::Bool(false),
            b'K' => Operation::Int(self.byte()?.into()),
            b'M' => Operation::Int(u16::from_le_bytes(self.array()?).into()),
            b'J' => Operation::Int(i32::from_le_bytes(self.array()?).into()),
            0x8a => {
                let length = self.byte()?;
                number(self.take(length.into())?)
            }
            b'X' => {
                let length = u32::from_le_bytes(self.array()?);
                Operation::Text(text(self.take(length.into())?)?)
            }
            b'c' => Operation::Global { module: self.line()?, name: self.line()? },
            b')' => Operation::EmptyTuple,
            b']' => Operation::EmptyList,
            b'}' => Operation::EmptyDict,
            0x85 => Operation::ShortTuple(1),
            0x86 => Operation::ShortTuple(2),
            0x87 => Operation::ShortTuple(3),
            b't' => Operation::Tuple,
            b'e' => Operation::Appends,
            b's' => Operation::SetItem,
            b'u' => Operation::SetItems,
            b'q' => Operation::Put(self.byte()?.into()),
            b'r' => Operation::Put(u32::from_le_bytes(self.array()?)),
            b'h' => Operation::Get(self.byte()?.into()),
            b'j' => Operation::Get(u32::from_le_bytes(self.array()?)),
            b'R' => Operation::Reduce,
            b'b' => Operation::Build,
            b'Q' => Operation::PersistentId,
            other => return Err(Problem::Operation(other)),
        })
    }
}

fn text(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|_| Problem::Text)
}

/// A number in two's complement, little-endian.
fn number(bytes: &[u8]) -> Operation<'_> {
    if bytes.len() > size_of::<i64>() {
        return Operation::Long(bytes);
    }
    let sign = if bytes.last().is_some_and(|last| last & 0x80 != 0) { -1 } else { 0 };
    Operation::Int(bytes.iter().rev().fold(sign, |sum: i64, byte| sum << 8 | i64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_sign() {
        let check = |bytes: &[u8], expected| assert_eq!(number(bytes), Operation::Int(expected));
        check(&[], 0);
        check(&[255, 0], 255);
        check(&[0, 255], -256);
        check(&[255; 8], -1);
        check(&[0, 0, 0, 0, 0, 0, 0, 0x80], i64::MIN);
        assert_eq!(number(&[0; 9]), Operation::Long(&[0; 9]));
    }
}
