//! Many tensors of one shape in half precision on the disk, of which few are read at a time.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use spacewright_core::{graph::Shape, train::TrainError};
use tch::{Device, Kind, Tensor};

use crate::params::in_file;

/// Most bytes of a file: whoever keeps it checks it as a whole.
const LARGEST_FILE: u64 = 512 << 20;

fn bytes(shape: Shape) -> usize {
    2 * shape.channels * shape.height * shape.width
}

fn per_file(shape: Shape) -> usize {
    (LARGEST_FILE as usize / bytes(shape).max(1)).max(1)
}

fn file(base: &Path, index: usize) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(format!("-{index}.f16"));
    name.into()
}

/// Bytes that so many rows take.
pub fn size(shape: Shape, rows: usize) -> u64 {
    bytes(shape) as u64 * rows as u64
}

/// Writes rows one after the other.
pub struct RowsWriter {
    base: PathBuf,
    shape: Shape,
    written: usize,
    open: Option<BufWriter<File>>,
}

impl RowsWriter {
    /// Files whose names start with `base`.
    pub fn new(base: PathBuf, shape: Shape) -> Self {
        Self { base, shape, written: 0, open: None }
    }

    /// Appends rows, `rows × channels × height × width`.
    pub fn append(&mut self, rows: &Tensor) -> Result<(), TrainError> {
        let rows = in_file(&rows.to_kind(Kind::Half));
        let mut content = vec![0; bytes(self.shape) * rows.size()[0] as usize];
        rows.f_copy_data_u8(&mut content, rows.numel()).map_err(|error| {
            TrainError::Computation { doing: "keeping features", source: Box::new(error) }
        })?;
        for row in content.chunks_exact(bytes(self.shape)) {
            self.append_one(row).map_err(|error| TrainError::file(&self.base, error))?;
        }
        Ok(())
    }

    fn append_one(&mut self, row: &[u8]) -> io::Result<()> {
        let per_file = per_file(self.shape);
        if self.written.is_multiple_of(per_file) {
            self.end_file()?;
            let path = file(&self.base, self.written / per_file);
            self.open = Some(BufWriter::new(File::create(path)?));
        }
        if let Some(open) = &mut self.open {
            open.write_all(row)?;
        }
        self.written += 1;
        Ok(())
    }

    fn end_file(&mut self) -> io::Result<()> {
        match self.open.take() {
            Some(mut open) => {
                open.flush()?;
                open.get_ref().sync_all()
            }
            None => Ok(()),
        }
    }

    /// Ends the last file.
    pub fn finish(mut self) -> Result<(), TrainError> {
        self.end_file().map_err(|error| TrainError::file(&self.base, error))
    }
}

/// Rows that were written; for one thread at a time, which moves the files' cursors.
#[derive(Debug)]
pub struct Rows {
    base: PathBuf,
    files: Vec<File>,
    shape: Shape,
}

impl Rows {
    /// Opens `count` rows.
    pub fn open(base: PathBuf, shape: Shape, count: usize) -> Result<Self, TrainError> {
        let open = |index: usize| {
            let path = file(&base, index);
            let rows = per_file(shape).min(count - index * per_file(shape));
            let found = fs::metadata(&path).map_err(|error| TrainError::file(&path, error))?.len();
            if found != size(shape, rows) {
                let error = io::Error::new(io::ErrorKind::InvalidData, "has another length");
                return Err(TrainError::file(&path, error));
            }
            File::open(&path).map_err(|error| TrainError::file(&path, error))
        };
        let files = (0..count.div_ceil(per_file(shape))).map(open).collect::<Result<_, _>>()?;
        Ok(Self { base, files, shape })
    }

    /// The rows at these positions, `positions × channels × height × width`, in single precision on a device.
    pub fn read(&self, positions: &[usize], device: Device) -> Result<Tensor, TrainError> {
        let (row, per_file) = (bytes(self.shape), per_file(self.shape));
        let mut content = vec![0; row * positions.len()];
        for (&position, content) in positions.iter().zip(content.chunks_exact_mut(row.max(1))) {
            let mut file = &self.files[position / per_file];
            file.seek(SeekFrom::Start((position % per_file * row) as u64))
                .and_then(|_| file.read_exact(content))
                .map_err(|error| TrainError::file(&self.base, error))?;
        }
        let Shape { channels, height, width } = self.shape;
        let size = [positions.len(), channels, height, width].map(|size| size as i64);
        let halves = Tensor::from_data_size(&content, &size, Kind::Half);
        // Half as much to copy as after the conversion, which is exact anywhere.
        Ok(halves.to_device(device).to_kind(Kind::Float))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_by_position() {
        let folder = tempfile::tempdir().unwrap();
        let (base, shape) = (folder.path().join("s0"), Shape::new(2, 1, 3));
        let all = Tensor::arange(60, (Kind::Float, Device::Cpu)).view([10, 2, 1, 3]);
        let mut writer = RowsWriter::new(base.clone(), shape);
        writer.append(&all.narrow(0, 0, 4)).unwrap();
        writer.append(&all.narrow(0, 4, 6)).unwrap();
        writer.finish().unwrap();
        let rows = Rows::open(base.clone(), shape, 10).unwrap();
        let read = rows.read(&[7, 0, 9], Device::Cpu).unwrap();
        assert_eq!(read.kind(), Kind::Float);
        let wanted = all.index_select(0, &Tensor::from_slice(&[7i64, 0, 9]));
        assert_eq!(read, wanted);
        let error = Rows::open(base, shape, 11).unwrap_err().to_string();
        assert!(error.contains("has another length"), "{error}");
    }
}
