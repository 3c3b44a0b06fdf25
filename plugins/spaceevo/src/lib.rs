//! spacewright-spaceevo
