//! Seeded randomness. Seeds depend on names, so that work can be done in any order.

use rand_pcg::Pcg64Mcg;

/// A seed for one purpose: FNV-1a hash of a study's seed and of the names of the purpose.
pub fn seed(seed: u64, purpose: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in purpose.iter().flat_map(|part| part.bytes().chain([0xff])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash
}

/// A random number generator for one purpose, seeded by [`seed`].
pub fn generator(study: u64, purpose: &[&str]) -> Pcg64Mcg {
    Pcg64Mcg::new(u128::from(seed(study, purpose)) << 1 | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_have_seeds_of_their_own() {
        assert_ne!(seed(0, &["a", "b"]), seed(0, &["ab"]));
        assert_ne!(seed(0, &["a"]), seed(1, &["a"]));
        assert_eq!(generator(3, &["a"]), generator(3, &["a"]));
    }
}
