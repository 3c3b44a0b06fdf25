//! spacewright-torch-trainer
