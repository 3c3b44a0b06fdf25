//! A stable hash of a graph's structure.

use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Graph;
use crate::hex::hex;

/// SHA-256 of a graph's structure, in hexadecimal. Names do not enter: graphs that compute the
/// same function of their weights share measurements.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GraphHash(pub String);

impl GraphHash {
    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..12.min(self.0.len())]
    }
}

impl fmt::Display for GraphHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Graph {
    /// The hash; the same on every machine and in every version that keeps the text form.
    pub fn hash(&self) -> GraphHash {
        let mut text = format!("spacewright graph 1\n{}\n", self.input);
        for node in &self.nodes {
            text.push_str(node.op.kind().name());
            for input in &node.inputs {
                let _ = write!(text, " {}", input.0);
            }
            super::text::write_attributes(&mut text, &node.op);
            text.push('\n');
        }
        let _ = write!(text, "{}", self.output.0);
        GraphHash(hex(&Sha256::digest(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ConvSpec, GraphBuilder, Shape};
    use super::*;

    fn conv(name: &str, kernel: usize) -> Graph {
        let mut b = GraphBuilder::new(Shape::square(3, 8));
        let x = b.conv(name, b.input(), ConvSpec::new(4, kernel));
        b.finish(x)
    }

    #[test]
    fn names_do_not_matter_and_attributes_do() {
        assert_eq!(conv("a", 3).hash(), conv("b", 3).hash());
        assert_ne!(conv("a", 3).hash(), conv("a", 5).hash());
    }

    #[test]
    fn the_order_of_joined_channels_matters() {
        let joined = |reversed: bool| {
            let mut b = GraphBuilder::new(Shape::square(4, 8));
            let x = b.input();
            let y = b.conv("c", x, ConvSpec::new(4, 3));
            let z = b.concat("all", &if reversed { [y, x, x] } else { [x, x, y] });
            b.finish(z).hash()
        };
        assert_ne!(joined(false), joined(true));
    }

    #[test]
    fn the_hash_is_stable_over_releases() {
        assert_eq!(conv("a", 3).hash().short(), "5b5b3a505ac6");
    }
}
