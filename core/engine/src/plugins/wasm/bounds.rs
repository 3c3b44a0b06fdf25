//! How much the instances of a component may hold.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use wasmtime::ResourceLimiter;

const MOST_INSTANCES: usize = 64;
const MOST_MEMORIES: usize = 16;
const MOST_TABLES: usize = 64;
const MOST_ELEMENTS: usize = 200_000;

/// Counts what all tables of a store hold together, and all memories of a component. Growth beyond
/// that stops the plugin: few of them look at the answer to `memory.grow`.
pub(super) struct Bounds {
    /// Bytes of this store.
    memory: usize,
    /// Bytes of all stores of the component.
    shared_memory: Arc<AtomicUsize>,
    most_memory: usize,
    elements: usize,
}

impl Bounds {
    /// Bounds of a new store, which shares memory with others of its component.
    pub fn new(shared_memory: Arc<AtomicUsize>, most_memory: usize) -> Self {
        Self { memory: 0, shared_memory, most_memory, elements: 0 }
    }
}

impl Drop for Bounds {
    fn drop(&mut self) {
        self.shared_memory.fetch_sub(self.memory, Relaxed);
    }
}

fn too_much(sum: usize, most: usize, what: &str) -> wasmtime::Error {
    wasmtime::format_err!("it asks for {sum} {what}; at most {most} are allowed")
}

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let grown = |sum: usize| sum.checked_add(more).filter(|sum| *sum <= self.most_memory);
        if let Err(sum) = self.shared_memory.fetch_update(Relaxed, Relaxed, grown) {
            let sum = sum.saturating_add(more);
            return Err(too_much(sum, self.most_memory, "bytes of memory"));
        }
        self.memory += more;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let elements = self.elements.saturating_sub(current).saturating_add(desired);
        if elements > MOST_ELEMENTS {
            return Err(too_much(elements, MOST_ELEMENTS, "table elements"));
        }
        self.elements = elements;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MOST_INSTANCES
    }

    fn tables(&self) -> usize {
        MOST_TABLES
    }

    fn memories(&self) -> usize {
        MOST_MEMORIES
    }
}
