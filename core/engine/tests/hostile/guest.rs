//! Components from WebAssembly text: small enough to be wrong in exactly one way.

use spacewright_engine::plugins::componentize;

/// Text at a fixed place in memory.
struct Text {
    at: usize,
    text: String,
}

/// A guest that offers a latency source, as core WebAssembly: every part can be replaced.
pub struct Guest {
    /// Its name, as bytes of a string of WebAssembly text.
    pub name: String,
    /// What runs at instantiation.
    pub start: String,
    /// What `describe` does before it answers.
    pub describe: String,
    /// Two precisions of four letters each.
    pub precisions: String,
    /// The answer to a batch of graphs: a body that gives the address of the answer.
    pub latencies: String,
    /// More definitions.
    pub more: String,
    /// Pages of memory at the beginning.
    pub pages: usize,
}

/// Address of the answer that bodies of `latencies` write.
pub const ANSWER: usize = 256;
/// Address of its columns.
pub const COLUMNS: usize = 512;

impl Default for Guest {
    /// A good one: as many milliseconds as there are graphs in the batch, for each.
    fn default() -> Self {
        Self {
            name: "guest".into(),
            start: String::new(),
            describe: String::new(),
            precisions: "fp32int8".into(),
            latencies: good("(f64.const 1)"),
            more: String::new(),
            pages: 2,
        }
    }
}

/// Answers one column of `ms`, as long as the questions.
pub fn good(ms: &str) -> String {
    answer(ms, "(local.get $graphs)", "(local.get $graphs)")
}

/// Answers `count` times `ms`, and `runs` numbers of runs.
pub fn answer(ms: &str, count: &str, runs: &str) -> String {
    format!(
        "(loop $fill
           (f64.store (i32.add (i32.const {COLUMNS}) (i32.mul (local.get $at) (i32.const 8))) {ms})
           (local.set $at (i32.add (local.get $at) (i32.const 1)))
           (br_if $fill (i32.lt_u (local.get $at) {count})))
         (i32.store8 (i32.const {ANSWER}) (i32.const 0))
         (i32.store (i32.const {a4}) (i32.const {COLUMNS}))
         (i32.store (i32.const {a8}) {count})
         (i32.store (i32.const {a12}) (i32.const {zeros}))
         (i32.store (i32.const {a16}) {count})
         (i32.store (i32.const {a20}) (i32.const {zeros}))
         (i32.store (i32.const {a24}) {runs})
         (i32.store (i32.const {a28}) (i32.const {zeros}))
         (i32.store (i32.const {a32}) {count})
         (i32.store (i32.const {a36}) (i32.const {zeros}))
         (i32.store (i32.const {a40}) {count})
         (i32.const {ANSWER})",
        a4 = ANSWER + 4,
        a8 = ANSWER + 8,
        a12 = ANSWER + 12,
        a16 = ANSWER + 16,
        a20 = ANSWER + 20,
        a24 = ANSWER + 24,
        a28 = ANSWER + 28,
        a32 = ANSWER + 32,
        a36 = ANSWER + 36,
        a40 = ANSWER + 40,
        zeros = 16384,
    )
}

/// A good answer, but that each interval goes from `ms` to 0.
pub fn upside_down(ms: &str) -> String {
    with_column(ms, ANSWER + 28)
}

/// A good answer, but that it counts runs as if it had measured.
pub fn timed(ms: &str) -> String {
    with_column(ms, ANSWER + 20)
}

/// A good answer, but that the column at `place` is that of `ms`.
fn with_column(ms: &str, place: usize) -> String {
    format!(
        "(drop {}) (i32.store (i32.const {place}) (i32.const {COLUMNS})) (i32.const {ANSWER})",
        good(ms)
    )
}

/// Answers an error whose text is at `at`, `length` bytes long.
pub fn error(at: usize, length: &str) -> String {
    format!(
        "(i32.store8 (i32.const {ANSWER}) (i32.const 1))
         (i32.store (i32.const {}) (i32.const {at}))
         (i32.store (i32.const {}) {length})
         (i32.const {ANSWER})",
        ANSWER + 4,
        ANSWER + 8
    )
}

impl Guest {
    /// The module as text.
    pub fn text(&self) -> String {
        let name = Text { at: 64, text: self.name.clone() };
        let length = name_length(&self.name);
        let Self { start, describe, precisions, latencies, more, pages, .. } = self;
        format!(
            r#"(module
              (import "spacewright:plugin/host@0.1.0" "log" (func $log (param i32 i32)))
              (memory (export "memory") {pages})
              (global $free (mut i32) (i32.const 65536))
              (data (i32.const {at}) "{text}")
              (data (i32.const 200) "1.0.0")
              ;; about: name, version, summary
              (data (i32.const 0) "{name_at}{name_length}\c8\00\00\00\05\00\00\00\c8\00\00\00\05\00\00\00")
              (data (i32.const 32) "{name_at}{name_length}")
              ;; precisions: two texts
              (data (i32.const 40) "\30\00\00\00\02\00\00\00")
              (data (i32.const 48) "\d0\00\00\00\04\00\00\00\d4\00\00\00\04\00\00\00")
              (data (i32.const 208) "{precisions}")
              {more}
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at
                  (i32.and (i32.add (global.get $free) (i32.const 15)) (i32.const -16)))
                (global.set $free (i32.add (local.get $at) (local.get 3)))
                (block $enough
                  (br_if $enough
                    (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
                  (drop (memory.grow (i32.add (i32.shr_u (local.get 3) (i32.const 16)) (i32.const 1)))))
                (local.get $at))
              (func $start {start})
              (start $start)
              (func (export "spacewright:plugin/about@0.1.0#describe") (result i32)
                {describe} (i32.const 0))
              (func (export "spacewright:plugin/about@0.1.0#ping"))
              (func (export "spacewright:plugin/latency-source@0.1.0#name") (result i32)
                (i32.const 32))
              (func (export "spacewright:plugin/latency-source@0.1.0#fingerprint") (result i32)
                (i32.const 32))
              (func (export "spacewright:plugin/latency-source@0.1.0#precisions") (result i32)
                (i32.const 40))
              (func (export "spacewright:plugin/latency-source@0.1.0#latencies-of")
                (param $asked i32) (result i32)
                (local $graphs i32) (local $at i32)
                ;; The length of the first column.
                (local.set $graphs (i32.load offset=4 (local.get $asked)))
                {latencies}))"#,
            at = name.at,
            text = name.text,
            name_at = bytes(name.at),
            name_length = bytes(length),
        )
    }

    /// The component.
    pub fn component(&self) -> Vec<u8> {
        component(&self.text())
    }
}

/// A component from the text of a core module.
pub fn component(text: &str) -> Vec<u8> {
    let module = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    componentize(&module).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Four bytes, least significant first, as text of WebAssembly.
fn bytes(number: usize) -> String {
    (number as u32).to_le_bytes().iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// Bytes that a string of WebAssembly text stands for: `\xx` is one.
fn name_length(name: &str) -> usize {
    name.len() - 2 * name.matches('\\').count()
}
