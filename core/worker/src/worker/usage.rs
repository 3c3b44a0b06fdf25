//! What this process uses.

use std::{
    fs,
    sync::{Mutex, PoisonError},
};

use rustix::time::{ClockId, clock_gettime};
use spacewright_core::train::Usage;

/// Measures from one answer to the next.
#[derive(Debug, Default)]
pub struct UsageMeter {
    /// Processor time until the last answer.
    before: Mutex<f64>,
}

impl UsageMeter {
    /// What was used since this was asked last.
    pub fn take(&self) -> Usage {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let now = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let core_seconds = now - std::mem::replace(&mut *before, now);
        Usage { core_seconds, peak_bytes: take_peak().unwrap_or_default() }
    }
}

/// The most memory since this was asked last, in bytes, where the system tells it (proc(5): `VmHWM`, which
/// writing 5 to `clear_refs` sets back).
fn take_peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    // Where it cannot be set back, it is the most since the start.
    let _ = fs::write("/proc/self/clear_refs", "5");
    Some(1024 * kilobytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_told_once() {
        let meter = UsageMeter::default();
        let first = meter.take();
        assert!(first.core_seconds > 0.0);
        let second = meter.take();
        assert!(second.core_seconds < first.core_seconds);
        if cfg!(target_os = "linux") {
            assert!(first.peak_bytes > 1 << 20);
        }
    }
}
