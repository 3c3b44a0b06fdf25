//! The part of TFLite's schema (version 3, `schema.fbs`) that is written and read here: tables with
//! the slots of their fields. A table is read only after the whole file was verified.

use flatbuffers::{
    Follow, ForwardsUOffset, InvalidFlatbuffer, Table, VOffsetT, Vector, Verifiable, Verifier,
    VerifierOptions,
};

/// Marks files of this schema.
pub(crate) const IDENTIFIER: &str = "TFL3";
/// Value of [`Model::VERSION`].
pub(crate) const VERSION: u32 = 3;

/// A list of numbers.
pub(crate) type List<'a, T> = ForwardsUOffset<Vector<'a, T>>;
/// A list of tables.
pub(crate) type Tables<'a, T> = ForwardsUOffset<Vector<'a, ForwardsUOffset<T>>>;
/// A text.
pub(crate) type Text<'a> = ForwardsUOffset<&'a str>;

/// Where a table's header keeps the place of the field in this slot.
pub(crate) const fn offset(slot: VOffsetT) -> VOffsetT {
    4 + 2 * slot
}

macro_rules! tables {
    ($($(#[$about:meta])* $table:ident {
        $($(#[$what:meta])* $constant:ident $field:ident = $slot:literal: $type:ty,)*
    })*) => {$(
        $(#[$about])*
        #[derive(Clone, Copy)]
        #[allow(dead_code, reason = "tables are described whole, some are only written")]
        pub(crate) struct $table<'a>(Table<'a>);

        #[allow(dead_code, reason = "tables are described whole, some fields are only written")]
        impl<'a> $table<'a> {
            $(
                $(#[$what])*
                pub(crate) const $constant: VOffsetT = offset($slot);

                #[allow(unsafe_code, reason = "reads a field of a verified table")]
                pub(crate) fn $field(self) -> Option<<$type as Follow<'a>>::Inner> {
                    // SAFETY: tables come from `root` and `options` only, which have verified that
                    // this slot holds nothing or a value of this type.
                    unsafe { self.0.get::<$type>(Self::$constant, None) }
                }
            )*
        }

        impl<'a> Follow<'a> for $table<'a> {
            type Inner = Self;

            #[allow(unsafe_code, reason = "the trait's method is unsafe")]
            unsafe fn follow(file: &'a [u8], place: usize) -> Self {
                // SAFETY: the caller vouches for a table at this place.
                Self(unsafe { Table::new(file, place) })
            }
        }

        impl<'a> Verifiable for $table<'a> {
            fn run_verifier(v: &mut Verifier<'_, '_>, place: usize) -> Result<(), InvalidFlatbuffer> {
                v.visit_table(place)?
                    $(.visit_field::<$type>(stringify!($field), Self::$constant, false)?)*
                    .finish();
                Ok(())
            }
        }
    )*};
}

tables! {
    /// A file.
    Model {
        VERSION version = 0: u32,
        OPERATOR_CODES operator_codes = 1: Tables<'a, OperatorCode<'a>>,
        SUBGRAPHS subgraphs = 2: Tables<'a, SubGraph<'a>>,
        DESCRIPTION description = 3: Text<'a>,
        BUFFERS buffers = 4: Tables<'a, Buffer<'a>>,
        METADATA metadata = 6: Tables<'a, Metadata<'a>>,
        SIGNATURES signatures = 7: Tables<'a, Signature<'a>>,
    }
    /// Operators refer to their kind by the place of one of these.
    OperatorCode {
        /// Kinds above 127 are in the newer field only.
        OLD_KIND old_kind = 0: i8,
        CUSTOM custom = 1: Text<'a>,
        VERSION version = 2: i32,
        KIND kind = 3: i32,
    }
    /// A graph.
    SubGraph {
        TENSORS tensors = 0: Tables<'a, Tensor<'a>>,
        INPUTS inputs = 1: List<'a, i32>,
        OUTPUTS outputs = 2: List<'a, i32>,
        OPERATORS operators = 3: Tables<'a, Operator<'a>>,
        NAME name = 4: Text<'a>,
    }
    /// A value or a constant.
    Tensor {
        SHAPE shape = 0: List<'a, i32>,
        ELEMENT element = 1: i8,
        /// 0 for values, else the place of the constant's data.
        BUFFER buffer = 2: u32,
        NAME name = 3: Text<'a>,
        QUANTIZATION quantization = 4: ForwardsUOffset<Quantization<'a>>,
        /// The shape with -1 for sizes that are open.
        SIGNATURE signature = 7: List<'a, i32>,
    }
    /// real = (integer - zero_point) * scale, per tensor or per element of an axis.
    Quantization {
        SCALE scale = 2: List<'a, f32>,
        ZERO_POINT zero_point = 3: List<'a, i64>,
        AXIS axis = 6: i32,
    }
    /// One operator.
    Operator {
        CODE code = 0: u32,
        /// -1 where an optional input is left out.
        INPUTS inputs = 1: List<'a, i32>,
        OUTPUTS outputs = 2: List<'a, i32>,
        OPTIONS_KIND options_kind = 3: u8,
    }
    /// Data of a constant.
    Buffer {
        DATA data = 0: List<'a, u8>,
        /// Where data lies that is behind the rest of the file, from its beginning; 0 and 1 stand
        /// for data that is not there.
        OFFSET offset = 1: u64,
        SIZE size = 2: u64,
    }
    /// A named text or other data.
    Metadata {
        NAME name = 0: Text<'a>,
        BUFFER buffer = 1: u32,
    }
    /// Names for inputs and outputs.
    Signature {
        INPUTS inputs = 0: Tables<'a, NamedTensor<'a>>,
        OUTPUTS outputs = 1: Tables<'a, NamedTensor<'a>>,
        KEY key = 2: Text<'a>,
    }
    /// A tensor's name in a signature.
    NamedTensor {
        NAME name = 0: Text<'a>,
        TENSOR tensor = 1: u32,
    }
}

tables! {
    /// Options of `CONV_2D`.
    ConvolutionOptions {
        PADDING padding = 0: i8,
        STRIDE_COLUMNS stride_columns = 1: i32,
        STRIDE_ROWS stride_rows = 2: i32,
        FUSED fused = 3: i8,
        DILATION_COLUMNS dilation_columns = 4: i32,
        DILATION_ROWS dilation_rows = 5: i32,
    }
    /// Options of `DEPTHWISE_CONV_2D`.
    DepthwiseOptions {
        PADDING padding = 0: i8,
        STRIDE_COLUMNS stride_columns = 1: i32,
        STRIDE_ROWS stride_rows = 2: i32,
        FUSED fused = 4: i8,
        DILATION_COLUMNS dilation_columns = 5: i32,
        DILATION_ROWS dilation_rows = 6: i32,
    }
    /// Options of pools.
    PoolOptions {
        PADDING padding = 0: i8,
        STRIDE_COLUMNS stride_columns = 1: i32,
        STRIDE_ROWS stride_rows = 2: i32,
        COLUMNS columns = 3: i32,
        ROWS rows = 4: i32,
        FUSED fused = 5: i8,
    }
    /// Options of `CONCATENATION`.
    ConcatenationOptions {
        AXIS axis = 0: i32,
        FUSED fused = 1: i8,
    }
    /// Options of operators in which only a fused activation counts.
    FusedOptions {
        FUSED fused = 0: i8,
    }
}

impl ConvolutionOptions<'_> {
    /// Its number in the schema's union of options.
    pub(crate) const NUMBER: u8 = 1;
}

impl DepthwiseOptions<'_> {
    /// See [`ConvolutionOptions::NUMBER`].
    pub(crate) const NUMBER: u8 = 2;
}

impl PoolOptions<'_> {
    /// See [`ConvolutionOptions::NUMBER`].
    pub(crate) const NUMBER: u8 = 5;
}

impl ConcatenationOptions<'_> {
    /// See [`ConvolutionOptions::NUMBER`].
    pub(crate) const NUMBER: u8 = 10;
}

/// See [`ConvolutionOptions::NUMBER`].
impl FusedOptions<'_> {
    pub(crate) const OF_FULLY_CONNECTED: u8 = 8;
    pub(crate) const OF_ADD: u8 = 11;
    pub(crate) const OF_MUL: u8 = 21;
    pub(crate) const OF_SUB: u8 = 28;
    pub(crate) const OF_DIV: u8 = 29;
}

/// Slot of an operator's options, whose table depends on the operator.
pub(crate) const OPTIONS: VOffsetT = offset(4);

impl<'a> Operator<'a> {
    /// The options, where they are the table of this number in the schema's union. What [`root`] has not verified
    /// is verified now.
    #[allow(unsafe_code, reason = "reads a field that was verified in the line before")]
    pub(crate) fn options<T: Follow<'a> + Verifiable + 'a>(
        self,
        number: u8,
    ) -> Result<Option<T::Inner>, InvalidFlatbuffer> {
        let field = usize::from(self.0.vtable().get(OPTIONS));
        if self.options_kind() != Some(number) || field == 0 {
            return Ok(None);
        }
        let options = VerifierOptions::default();
        let mut verifier = Verifier::new(&options, self.0.buf());
        ForwardsUOffset::<T>::run_verifier(&mut verifier, self.0.loc() + field)?;
        // SAFETY: the slot holds the offset of a table of this type, as was just verified.
        Ok(unsafe { self.0.get::<ForwardsUOffset<T>>(OPTIONS, None) })
    }
}

/// Verifies a file, and gives its outermost table. What a file uses several times may not make it
/// several times as large: memory grows with the file.
pub(crate) fn root(file: &[u8]) -> Result<Model<'_>, InvalidFlatbuffer> {
    let max_apparent_size = file.len().saturating_mul(8).max(1 << 24);
    let options = VerifierOptions { max_apparent_size, ..VerifierOptions::default() };
    flatbuffers::root_with_opts::<Model<'_>>(&options, file)
}
