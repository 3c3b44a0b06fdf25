//! Messages of this process, which the head shows as its own.

use std::{io, sync::Arc};

use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use super::line::Line;
use crate::message::{FromWorker, LogLevel};

/// Sends all messages to the head from now on.
pub fn send_to(line: &Arc<Line>, verbose: bool) {
    let level = if verbose { "debug" } else { "warn" };
    let filter = std::env::var("SPACEWRIGHT_LOG").unwrap_or_else(|_| level.into());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(Told(line.clone()))
        .with_ansi(false)
        .without_time()
        .with_level(false)
        .with_target(false);
    // Where there is a subscriber already, as in tests, that one has them.
    let _ = subscriber.try_init();
}

struct Told(Arc<Line>);

impl<'a> MakeWriter<'a> for Told {
    type Writer = Message<'a>;

    fn make_writer(&'a self) -> Message<'a> {
        Message { line: &self.0, level: LogLevel::Debug, text: Vec::new() }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Message<'a> {
        let level = match *about.level() {
            Level::ERROR => LogLevel::Error,
            Level::WARN => LogLevel::Warn,
            Level::INFO => LogLevel::Info,
            _ => LogLevel::Debug,
        };
        Message { line: &self.0, level, text: Vec::new() }
    }
}

/// A message that is sent when it is complete.
struct Message<'a> {
    line: &'a Line,
    level: LogLevel,
    text: Vec<u8>,
}

impl io::Write for Message<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Message<'_> {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text).trim_end().to_owned();
        if !text.is_empty() {
            self.line.tell(&FromWorker::Log { level: self.level, text });
        }
    }
}
