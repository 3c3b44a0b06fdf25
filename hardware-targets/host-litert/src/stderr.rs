//! What LiteRT writes to standard error goes to the log.

#[cfg(unix)]
pub(crate) use unix::logged;

/// Runs `work`, which may write to standard error.
#[cfg(not(unix))]
pub(crate) fn logged<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[cfg(unix)]
mod unix {
    use std::{
        fs::File,
        io::{self, Read, Seek, SeekFrom},
        os::fd::{AsFd, OwnedFd},
    };

    use rustix::stdio::dup2_stderr;

    /// Runs `work`; what the whole process writes to standard error meanwhile becomes lines of the
    /// log. Where that cannot be arranged, `work` runs all the same.
    pub(crate) fn logged<T>(work: impl FnOnce() -> T) -> T {
        let _turned = Turned::new().inspect_err(|error| tracing::debug!("{error}")).ok();
        work()
    }

    /// Standard error while it goes to a file; turned back when dropped.
    struct Turned {
        real: OwnedFd,
        file: File,
    }

    impl Turned {
        fn new() -> io::Result<Self> {
            let (real, file) = (io::stderr().as_fd().try_clone_to_owned()?, tempfile::tempfile()?);
            dup2_stderr(&file)?;
            Ok(Self { real, file })
        }

        fn text(&mut self) -> io::Result<String> {
            let mut text = Vec::new();
            self.file.seek(SeekFrom::Start(0))?;
            self.file.read_to_end(&mut text)?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
    }

    impl Drop for Turned {
        fn drop(&mut self) {
            if let Err(error) = dup2_stderr(&self.real) {
                tracing::debug!("{error}");
            }
            for line in self.text().unwrap_or_default().lines() {
                tracing::debug!("LiteRT: {line}");
            }
        }
    }
}
