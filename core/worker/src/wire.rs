//! Messages on a socket: four bytes of length, then MessagePack; open files follow the message that names
//! them, to another machine what is in them.

use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut, Read, Seek as _, Write as _},
    mem::MaybeUninit,
    net::TcpStream,
    os::{
        fd::AsFd as _,
        unix::{fs::FileExt as _, net::UnixStream},
    },
    sync::Arc,
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::socket::Socket;

/// Files that cross at once: the kernel takes no more than 253.
const FILES_AT_ONCE: usize = 64;

/// Writes a message.
pub fn send(socket: &Socket, message: &impl Serialize) -> io::Result<()> {
    let content = rmp_serde::to_vec_named(message).map_err(io::Error::other)?;
    let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "a message of more than 4 GB");
    let length = u32::try_from(content.len()).map_err(too_long)?;
    let mut writer = socket;
    writer.write_all(&length.to_le_bytes())?;
    writer.write_all(&content)
}

/// Waits for the next message; `None` where the other side is gone.
///
/// # Errors
///
/// A message that is cut off, or that is none of this type.
pub fn receive<T: DeserializeOwned>(socket: &Socket) -> io::Result<Option<T>> {
    let mut reader = socket;
    let mut length = [0; 4];
    match reader.read(&mut length[..1])? {
        0 => return Ok(None),
        _ => reader.read_exact(&mut length[1..])?,
    }
    let length = u32::from_le_bytes(length);
    let mut content = Vec::new();
    // Memory grows with what arrives, not with what is announced.
    reader.take(length.into()).read_to_end(&mut content)?;
    if content.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    rmp_serde::from_slice(&content)
        .map(Some)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Bytes of a file that are read at once.
const AT_ONCE: usize = 1 << 20;

/// Hands open files to the other side.
pub fn send_files(socket: &Socket, files: &[Arc<File>]) -> io::Result<()> {
    match socket {
        Socket::Local(stream) => send_descriptors(stream, files),
        Socket::Remote(stream) => files.iter().try_for_each(|file| send_content(stream, file)),
    }
}

/// Takes so many open files that the other side hands over.
pub fn receive_files(socket: &Socket, count: usize) -> io::Result<Vec<File>> {
    match socket {
        Socket::Local(stream) => receive_descriptors(stream, count),
        Socket::Remote(stream) => (0..count).map(|_| receive_content(stream)).collect(),
    }
}

/// Sends what is in a file, whose position stays: eight bytes of length first.
fn send_content(mut stream: &TcpStream, file: &File) -> io::Result<()> {
    let length = file.metadata()?.len();
    stream.write_all(&length.to_le_bytes())?;
    let mut buffer = vec![0; AT_ONCE];
    let mut position = 0;
    while position < length {
        let wanted = buffer.len().min((length - position) as usize);
        let read = file.read_at(&mut buffer[..wanted], position)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        stream.write_all(&buffer[..read])?;
        position += read as u64;
    }
    Ok(())
}

/// A file without a name, with what the other side sends.
fn receive_content(mut stream: &TcpStream) -> io::Result<File> {
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut file = tempfile::tempfile()?;
    if io::copy(&mut stream.take(length), &mut file)? < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    file.rewind()?;
    Ok(file)
}

fn send_descriptors(socket: &UnixStream, files: &[Arc<File>]) -> io::Result<()> {
    for files in files.chunks(FILES_AT_ONCE) {
        let descriptors: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_AT_ONCE))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::other("too many open files in one message"));
        }
        // Descriptors travel with at least one byte.
        sendmsg(socket, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::empty())?;
    }
    Ok(())
}

fn receive_descriptors(socket: &UnixStream, count: usize) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    while files.len() < count {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_AT_ONCE))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut byte)];
        let received = recvmsg(socket, &mut into, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        let before = files.len();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                files.extend(descriptors.map(File::from));
            }
        }
        if received.bytes == 0 || files.len() == before {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    fn pair() -> (Socket, Socket) {
        let (a, b) = UnixStream::pair().unwrap();
        (Socket::Local(a), Socket::Local(b))
    }

    fn pair_of_machines() -> (Socket, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let a = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (b, _) = listener.accept().unwrap();
        (Socket::remote(a).unwrap(), Socket::remote(b).unwrap())
    }

    #[test]
    fn messages_arrive_whole_and_in_order() {
        let (a, b) = pair();
        let sent = thread::spawn(move || {
            send(&a, &("first", vec![f32::NAN, 0.1])).unwrap();
            send(&a, &("second", vec![0.5f32; 1_000_000])).unwrap();
        });
        let (name, numbers) = receive::<(String, Vec<f32>)>(&b).unwrap().unwrap();
        assert_eq!((name.as_str(), numbers[1].to_bits()), ("first", 0.1f32.to_bits()));
        assert!(numbers[0].is_nan());
        assert_eq!(receive::<(String, Vec<f32>)>(&b).unwrap().unwrap().1.len(), 1_000_000);
        sent.join().unwrap();
        assert!(receive::<String>(&b).unwrap().is_none());
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let (a, b) = pair();
        (&a).write_all(&[200, 0, 0, 0, 1, 2]).unwrap();
        drop(a);
        assert_eq!(receive::<String>(&b).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let (a, b) = pair();
        (&a).write_all(&[2, 0, 0, 0, 0xc1, 0xc1]).unwrap();
        assert_eq!(receive::<String>(&b).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn files_cross() {
        check_files(pair());
        check_files(pair_of_machines());
    }

    fn check_files((a, b): (Socket, Socket)) {
        let files: Vec<Arc<File>> = (0..130u8)
            .map(|number| {
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&[number]).unwrap();
                file.rewind().unwrap();
                Arc::new(file)
            })
            .collect();
        send_files(&a, &files).unwrap();
        for (number, mut file) in receive_files(&b, 130).unwrap().into_iter().enumerate() {
            let mut content = Vec::new();
            file.read_to_end(&mut content).unwrap();
            assert_eq!(content, [number as u8]);
        }
    }
}
