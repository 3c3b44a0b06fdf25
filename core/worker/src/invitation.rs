//! How workers of other machines find the head of their team: it announces an address and a secret, by which it
//! knows those that it waits for.

use std::{
    fmt, io,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use crate::socket::Socket;

/// Bytes of a secret.
const SECRET: usize = 16;
/// How often it is looked who has come.
const LOOK: Duration = Duration::from_millis(50);
/// For somebody who has connected to say who it is.
const GREETING: Duration = Duration::from_secs(10);
/// Most bytes of what it says first.
const LONGEST: usize = 512;

/// Where a head waits for workers.
pub struct Invitation {
    listener: TcpListener,
    secret: String,
}

/// A worker that has come.
pub struct Guest {
    pub socket: Socket,
    pub rank: usize,
    /// Its number among those of its machine.
    pub local_rank: usize,
    /// The name of its machine.
    pub machine: String,
}

impl Invitation {
    /// Listens on all addresses of this machine.
    pub fn new() -> io::Result<Self> {
        // One that takes both kinds of addresses, where the system knows both.
        let any = |address: IpAddr| TcpListener::bind(SocketAddr::new(address, 0));
        let listener = any(Ipv6Addr::UNSPECIFIED.into()).or_else(|_| any([0, 0, 0, 0].into()))?;
        listener.set_nonblocking(true)?;
        let mut bytes = [0; SECRET];
        let mut filled = 0;
        while filled < SECRET {
            let flags = rustix::rand::GetRandomFlags::empty();
            filled += rustix::rand::getrandom(&mut bytes[filled..], flags)?;
        }
        let secret = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { listener, secret })
    }

    /// What [`accept`] takes, where this machine has the name `host`.
    pub fn announced(&self, host: &str) -> io::Result<String> {
        Ok(format!("{} {} {host}", self.secret, self.listener.local_addr()?.port()))
    }

    /// Waits until `until` for somebody who knows the secret; `None` where nobody comes. Others are sent away.
    pub fn wait(&self, until: Instant) -> io::Result<Option<Guest>> {
        while Instant::now() < until {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if let Ok(Some(guest)) = self.greeted(stream) {
                        return Ok(Some(guest));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(LOOK),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Who it is; `None` for somebody who was not invited.
    fn greeted(&self, stream: TcpStream) -> io::Result<Option<Guest>> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(GREETING))?;
        let line = read_line(&stream)?;
        stream.set_read_timeout(None)?;
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (secret, rank, local_rank) = (word(), word().parse(), word().parse());
        let machine = word().to_owned();
        match (rank, local_rank) {
            (Ok(rank), Ok(local_rank)) if secret == self.secret => {
                Ok(Some(Guest { socket: Socket::remote(stream)?, rank, local_rank, machine }))
            }
            _ => Ok(None),
        }
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// Connects, as the process of this rank, and of this number on its machine, with a head by what it has
/// announced.
///
/// # Errors
///
/// What is no announcement; a head that cannot be reached.
pub fn accept(announced: &str, rank: usize, local_rank: usize) -> io::Result<Socket> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "that is no announcement of a head");
    let mut words = announced.splitn(3, ' ');
    let mut word = || words.next().ok_or_else(wrong);
    let (secret, port, host) = (word()?, word()?.parse::<u16>(), word()?);
    let mut stream = TcpStream::connect((host, port.map_err(|_| wrong())?))?;
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    stream.write_all(format!("{secret} {rank} {local_rank} {machine}\n").as_bytes())?;
    Socket::remote(stream)
}

/// Reads up to the end of a line, and not a byte further.
fn read_line(mut stream: &TcpStream) -> io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < LONGEST {
        stream.read_exact(&mut byte)?;
        if byte == *b"\n" {
            return Ok(String::from_utf8_lossy(&line).into_owned());
        }
        line.extend(byte);
    }
    Err(io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn only_who_knows_the_secret_comes_in() {
        let invitation = Invitation::new().unwrap();
        let announced = invitation.announced("localhost").unwrap();
        let (_, place) = announced.split_once(' ').unwrap();
        let guesses = format!("{} {place}", "0".repeat(2 * SECRET));
        let came = thread::spawn(move || {
            let stranger = accept(&guesses, 1, 1).unwrap();
            (accept(&announced, 3, 1).unwrap(), stranger)
        });
        let until = Instant::now() + Duration::from_secs(30);
        let guest = invitation.wait(until).unwrap().unwrap();
        assert_eq!((guest.rank, guest.local_rank), (3, 1));
        assert!(!guest.machine.is_empty());
        let (own, stranger) = came.join().unwrap();
        (&own).write_all(b"x").unwrap();
        let mut byte = [0];
        (&guest.socket).read_exact(&mut byte).unwrap();
        assert_eq!(byte, *b"x");
        assert_eq!((&stranger).read(&mut byte).unwrap(), 0);
    }

    #[test]
    fn nobody_is_waited_for_for_ever() {
        let invitation = Invitation::new().unwrap();
        assert!(invitation.wait(Instant::now() + LOOK).unwrap().is_none());
        for announced in ["", "a 1", "a x host"] {
            assert!(accept(announced, 0, 0).is_err(), "{announced}");
        }
    }
}
