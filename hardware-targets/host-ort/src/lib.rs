//! spacewright-host-ort
