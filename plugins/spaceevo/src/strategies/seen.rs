//! Spaces that a search has met, so that none is scored twice.

use std::collections::HashSet;

use rand::Rng;
use spacewright_core::space::{Hyperspace, Space, retry};

/// Draws before the hyperspace is searched systematically for a space that is left.
const TRIES: usize = 1000;

#[derive(Default)]
pub(super) struct Seen(HashSet<Space>);

impl Seen {
    /// Adds a space; `false` if it was there.
    pub(super) fn insert(&mut self, space: &Space) -> bool {
        self.0.insert(space.clone())
    }

    /// Adds and returns a random space that was not there; `None` when there is no other.
    pub(super) fn draw(&mut self, hyperspace: &Hyperspace, rng: &mut impl Rng) -> Option<Space> {
        let unseen = |space: &Space| !self.0.contains(space);
        let space = retry(TRIES, || Space::random(hyperspace, rng), unseen)
            .or_else(|| hyperspace.spaces().find(unseen))?;
        self.insert(&space);
        Some(space)
    }
}
