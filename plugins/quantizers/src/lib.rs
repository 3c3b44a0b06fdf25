//! spacewright-quantizers
