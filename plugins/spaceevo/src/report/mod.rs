//! What steps report: public types, written as JSON beside the networks and shown by the command.

mod block_types;
mod certainty;
pub mod compare;
mod fronts;
mod layers;
mod matched;
mod networks;
mod outcome;
mod paired;
mod plain;
mod proxy;
mod published;
mod space;
mod spaces;
mod study;
mod table;

pub use block_types::{BlockTypesReport, StudyOfBlockTypes, UniformSpace};
pub use certainty::Interval;
pub use fronts::{AgainstNetwork, Comparison, Front, Gain, Point, SpeedUp};
pub use layers::{NetworkLayer, NetworkShape, OperatorMacs};
pub(crate) use networks::publish as publish_networks;
pub use paired::{Certainty, Estimate, PairedNetworks, Verdict};
pub use plain::{
    MeanAccuracy, PlainNetwork, PlainReport, RivalDifference, RivalledNetwork, SeenImages,
};
pub(crate) use proxy::SampledSubnets;
pub(crate) use proxy::publish as publish_proxy;
pub use proxy::{
    Agreement, AgreementParts, JudgedSubnet, PairPart, PairParts, ProxyReport, SpaceAgreement,
    SubnetPart,
};
pub use published::{PublishedBlock, PublishedReport, PublishedStage};
pub use space::SpaceSummary;
pub(crate) use space::blocks_of;
pub(crate) use spaces::publish as publish_spaces;
pub use spaces::{
    AgainstSpace, ComparedNetwork, ComparedRepeat, ComparedSpace, ErrorDistribution, SpacesReport,
};
pub use study::{
    AlternativeChoice, BudgetNetwork, LossCorrection, RivalNetwork, StageChoice, StudyReport,
    SumOfPartsError,
};
