//! How much an instance may hold.

use wasmtime::ResourceLimiter;

const MOST_INSTANCES: usize = 64;
const MOST_MEMORIES: usize = 16;
const MOST_TABLES: usize = 64;
const MOST_ELEMENTS: usize = 200_000;

/// Counts what all memories, and all tables, of a store hold together. Growth beyond that stops
/// the plugin: few of them look at the answer to `memory.grow`.
pub(super) struct Bounds {
    memory: usize,
    elements: usize,
    most_memory: usize,
}

impl Bounds {
    pub fn new(most_memory: usize) -> Self {
        Self { memory: 0, elements: 0, most_memory }
    }
}

/// The sum after one of its parts has grown, or an error.
fn grown(sum: usize, from: usize, to: usize, most: usize, what: &str) -> wasmtime::Result<usize> {
    let sum = sum.saturating_sub(from).saturating_add(to);
    if sum > most {
        wasmtime::bail!("it asks for {sum} {what}; at most {most} are allowed");
    }
    Ok(sum)
}

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let most = self.most_memory;
        self.memory = grown(self.memory, current, desired, most, "bytes of memory")?;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.elements = grown(self.elements, current, desired, MOST_ELEMENTS, "table elements")?;
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
