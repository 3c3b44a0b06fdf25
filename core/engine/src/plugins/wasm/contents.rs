//! What a component may consist of: looked at before anything is compiled, as a small file can
//! describe a lot of code, and some code takes long to compile.
//!
//! What `plugin build` makes is one component with a few modules. The components inside of it only
//! give names to types and functions, so that nothing multiplies when they are instantiated.

use thiserror::Error;
use wasmparser::{
    BinaryReaderError, ComponentExternalKind, ComponentInstance, CompositeInnerType, Encoding,
    FunctionBody, Operator, Parser, Payload, SectionLimited, SubType,
};

/// Bytes of a component's file.
const MOST_BYTES: u64 = 8 << 20;
/// Functions of all modules.
const MOST_FUNCTIONS: u64 = 10_000;
/// Bytes of all functions.
const MOST_CODE: u64 = 4 << 20;
/// Bytes of one function.
const MOST_FUNCTION_BYTES: u64 = 128 << 10;
/// Variables of one function.
const MOST_LOCALS: u64 = 2000;
/// Blocks, loops and branches around an instruction.
const MOST_BLOCK_NESTING: u64 = 500;
/// Targets of all jump tables of a function.
const MOST_JUMP_TARGETS: u64 = 10_000;
/// Parameters of one type of functions.
const MOST_PARAMETERS: u64 = 100;
/// Results of one type of functions.
const MOST_RESULTS: u64 = 16;
/// Memories of all modules.
const MOST_MEMORIES: u64 = 16;
/// Tables of all modules.
const MOST_TABLES: u64 = 16;
/// Elements of a table when it is made.
const MOST_TABLE_ELEMENTS: u64 = 200_000;
/// Instances of modules and components.
const MOST_INSTANCES: u64 = 64;
/// Types, imports, exports, globals, segments and the like.
const MOST_ENTRIES: u64 = 20_000;
/// Bytes of sections that declare something.
const MOST_DECLARATION_BYTES: u64 = 1 << 20;

/// Why a component is not compiled.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum ContentsError {
    /// The file ends too early, or is no component.
    #[error("{0}")]
    Unreadable(String),
    /// There is too much of something.
    #[error("{found} {what}; at most {most} are allowed")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much there is, as far as it was counted.
        found: u64,
        /// How much may be.
        most: u64,
    },
    /// A component inside of the plugin's own has something that multiplies.
    #[error(
        "it is put together from components, one of which has {0} of its own: a plugin is one \
         component"
    )]
    Composed(&'static str),
}

impl From<BinaryReaderError> for ContentsError {
    fn from(error: BinaryReaderError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Checks the component in these bytes, in one pass.
pub(super) fn check(bytes: &[u8]) -> Result<(), ContentsError> {
    at_most("bytes", bytes.len(), MOST_BYTES)?;
    let mut counts = Counts::default();
    // Components and modules around what is read.
    let mut around: Vec<Encoding> = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { encoding, .. } => {
                if around.len() > 1 {
                    return Err(ContentsError::Composed(match encoding {
                        Encoding::Module => "code",
                        Encoding::Component => "components",
                    }));
                }
                around.push(encoding);
            }
            Payload::End(_) => drop(around.pop()),
            payload => {
                if around == [Encoding::Component, Encoding::Component] {
                    check_inner(&payload)?;
                }
                counts.add(payload)?;
            }
        }
    }
    Ok(())
}

/// That a component inside of the plugin's own makes nothing when it is instantiated.
fn check_inner(payload: &Payload<'_>) -> Result<(), ContentsError> {
    match payload {
        Payload::InstanceSection(_) | Payload::ComponentInstanceSection(_) => {
            Err(ContentsError::Composed("instances"))
        }
        Payload::ComponentCanonicalSection(_) => Err(ContentsError::Composed("functions")),
        _ => Ok(()),
    }
}

/// What was counted so far, in all modules.
#[derive(Default)]
struct Counts {
    functions: usize,
    code: usize,
    memories: usize,
    tables: usize,
    instances: usize,
    /// Entries of all other sections.
    entries: usize,
    /// Bytes of all sections but code, data and custom ones.
    declarations: usize,
}

impl Counts {
    fn add(&mut self, payload: Payload<'_>) -> Result<(), ContentsError> {
        match payload {
            Payload::TypeSection(section) => {
                self.entries(&section)?;
                for group in section {
                    group?.types().try_for_each(check_type)?;
                }
            }
            Payload::FunctionSection(section) => {
                self.functions += section.count() as usize;
                at_most("functions", self.functions, MOST_FUNCTIONS)?;
            }
            Payload::CodeSectionEntry(body) => {
                self.code += body.range().len();
                at_most("bytes of code", self.code, MOST_CODE)?;
                check_function(&body)?;
            }
            Payload::MemorySection(section) => {
                self.memories += section.count() as usize;
                at_most("memories", self.memories, MOST_MEMORIES)?;
            }
            Payload::TableSection(section) => {
                self.tables += section.count() as usize;
                at_most("tables", self.tables, MOST_TABLES)?;
                for table in section {
                    at_most("table elements", table?.ty.initial, MOST_TABLE_ELEMENTS)?;
                }
            }
            Payload::InstanceSection(section) => {
                self.instances += section.count() as usize;
                at_most("instances", self.instances, MOST_INSTANCES)?;
                self.entries(&section)?;
            }
            Payload::ComponentInstanceSection(section) => {
                self.instances += section.count() as usize;
                at_most("instances", self.instances, MOST_INSTANCES)?;
                self.entries(&section)?;
                section.into_iter().try_for_each(|instance| check_instance(&instance?))?;
            }
            Payload::ImportSection(section) => self.entries(&section)?,
            Payload::TagSection(section) => self.entries(&section)?,
            Payload::GlobalSection(section) => self.entries(&section)?,
            Payload::ExportSection(section) => self.entries(&section)?,
            Payload::ElementSection(section) => self.entries(&section)?,
            Payload::DataSection(section) => {
                self.entries += section.count() as usize;
                at_most("entries of sections", self.entries, MOST_ENTRIES)?;
            }
            Payload::CoreTypeSection(section) => self.entries(&section)?,
            Payload::ComponentAliasSection(section) => self.entries(&section)?,
            Payload::ComponentTypeSection(section) => self.entries(&section)?,
            Payload::ComponentCanonicalSection(section) => self.entries(&section)?,
            Payload::ComponentImportSection(section) => self.entries(&section)?,
            Payload::ComponentExportSection(section) => self.entries(&section)?,
            _ => {}
        }
        Ok(())
    }

    fn entries<T>(&mut self, section: &SectionLimited<'_, T>) -> Result<(), ContentsError> {
        self.entries += section.count() as usize;
        self.declarations += section.range().len();
        at_most("entries of sections", self.entries, MOST_ENTRIES)?;
        at_most("bytes of declarations", self.declarations, MOST_DECLARATION_BYTES)
    }
}

fn check_type(of: &SubType) -> Result<(), ContentsError> {
    let CompositeInnerType::Func(function) = &of.composite_type.inner else { return Ok(()) };
    at_most("parameters of a function", function.params().len(), MOST_PARAMETERS)?;
    at_most("results of a function", function.results().len(), MOST_RESULTS)
}

/// Instances that hold instances would multiply.
fn check_instance(instance: &ComponentInstance<'_>) -> Result<(), ContentsError> {
    let plain = |kind: ComponentExternalKind| {
        matches!(kind, ComponentExternalKind::Func | ComponentExternalKind::Type)
    };
    let is_plain = match instance {
        ComponentInstance::Instantiate { args, .. } => args.iter().all(|arg| plain(arg.kind)),
        ComponentInstance::FromExports(exports) => exports.iter().all(|e| plain(e.kind)),
    };
    if is_plain { Ok(()) } else { Err(ContentsError::Composed("instances")) }
}

fn check_function(body: &FunctionBody<'_>) -> Result<(), ContentsError> {
    at_most("bytes of a function", body.range().len(), MOST_FUNCTION_BYTES)?;
    let mut locals = 0;
    for group in body.get_locals_reader()? {
        locals += u64::from(group?.0);
        at_most("variables of a function", locals, MOST_LOCALS)?;
    }
    let (mut nesting, mut targets) = (0_usize, 0);
    for operator in body.get_operators_reader()? {
        match operator? {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                nesting += 1;
                at_most("blocks within each other", nesting, MOST_BLOCK_NESTING)?;
            }
            Operator::End => nesting = nesting.saturating_sub(1),
            Operator::BrTable { targets: table } => {
                targets += u64::from(table.len());
                at_most("jump targets of a function", targets, MOST_JUMP_TARGETS)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn at_most(what: &'static str, found: impl TryInto<u64>, most: u64) -> Result<(), ContentsError> {
    let found = found.try_into().unwrap_or(u64::MAX);
    match found <= most {
        true => Ok(()),
        false => Err(ContentsError::TooMuch { what, found, most }),
    }
}
