//! The connection of a head with a worker of its own machine, or of another one.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
    time::Duration,
};

/// A connection.
#[derive(Debug)]
pub enum Socket {
    /// On this machine.
    Local(UnixStream),
    /// With another one.
    Remote(TcpStream),
}

impl Socket {
    /// A second handle to it.
    pub fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Local(stream) => stream.try_clone().map(Self::Local),
            Self::Remote(stream) => stream.try_clone().map(Self::Remote),
        }
    }

    /// Ends it, for all handles and both sides.
    pub fn close(&self) {
        // It may have ended already.
        let _ = match self {
            Self::Local(stream) => stream.shutdown(Shutdown::Both),
            Self::Remote(stream) => stream.shutdown(Shutdown::Both),
        };
    }

    /// A connection with another machine on which messages are sent at once, and whose loss is noticed.
    pub fn remote(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
        rustix::net::sockopt::set_tcp_keepidle(&stream, SILENCE)?;
        rustix::net::sockopt::set_tcp_keepintvl(&stream, SILENCE)?;
        Ok(Self::Remote(stream))
    }
}

/// After so long it is asked whether the other machine is still there, and again.
const SILENCE: Duration = Duration::from_secs(30);

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Local(stream) => (&mut &*stream).read(buffer),
            Socket::Remote(stream) => (&mut &*stream).read(buffer),
        }
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Local(stream) => (&mut &*stream).write(bytes),
            Socket::Remote(stream) => (&mut &*stream).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
