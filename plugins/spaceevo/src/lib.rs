//! The SpaceEvo method (ICCV 2023, arXiv 2303.08308; public repository microsoft/Moonlit): its
//! hyperspaces as data, the Q-T score, and the search for spaces.

pub mod evolution;
pub mod hyperspaces;
mod options;
pub mod published;
pub mod qt_score;
pub mod random;
mod seen;
