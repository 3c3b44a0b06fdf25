//! What the page of several studies shows, gathered by whoever has the runs.

use serde::{Deserialize, Serialize};
use spacewright_spaceevo::report::compare::StudiesReport;

use crate::data::{Origin, StudyFile};

/// All that the page shows. Numbers on the page name their place in it: `report.studies.0.networks.1.on.0.ms`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparePageData {
    /// What was compared: what `spacewright --json study compare` prints.
    pub report: StudiesReport,
    /// The study files, in the order of the report's studies.
    pub files: Vec<StudyFile>,
    /// Who compared them.
    pub origin: Origin,
}
