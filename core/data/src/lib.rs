//! Labelled images as people keep them: folders, shards, records. What there is of a set is listed
//! first ([`Catalog`]), without decoding; an image is then decoded by itself, in any order, by any
//! number of threads.
//!
//! ```no_run
//! # fn main() -> Result<(), spacewright_data::DataError> {
//! let catalog = spacewright_data::open(&["photographs".into()], None)?;
//! let first = &catalog.samples[0];
//! let pixels = catalog.decode(first)?;
//! println!("{}: {} of {}x{}", catalog.name(first), catalog.classes[first.class as usize],
//!     pixels.height, pixels.width);
//! # Ok(())
//! # }
//! ```

mod catalog;
mod check;
mod decode;
mod division;
mod error;
mod images;
mod kept;
mod layout;
mod pattern;
mod share;
mod sheet;
mod survey;
mod transform;

pub use catalog::{Catalog, LARGEST_FILE, Place, Sample};
pub use check::{Checked, CheckedPart, InStudy, Sizes, check};
pub use decode::{LARGEST_PIXELS, Pixels, decode_image};
pub use division::{Division, DivisionError, Part, Wanted, divide};
pub use error::{BadImage, DataError, ImageProblem};
pub use images::CatalogImages;
pub use kept::Kept;
pub use layout::{Layout, cifar, idx, layouts, open, shard};
pub use sheet::{sheet, usual_training};
pub use survey::{SURVEY_VERSION, Survey, SurveyFiles, Values};
pub use transform::Pipeline;
