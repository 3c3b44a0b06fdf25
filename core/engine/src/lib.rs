//! spacewright-engine
