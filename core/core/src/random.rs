//! Seeded randomness. Seeds depend on names, so that work can be done in any order.

use rand_pcg::Pcg64Mcg;

/// What an FNV-1a hash begins with.
const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// A seed for one purpose: FNV-1a hash of a study's seed and of the names of the purpose.
pub fn seed(seed: u64, purpose: &[&str]) -> u64 {
    let start = OFFSET_BASIS ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hashed(start, purpose.iter().flat_map(|part| part.bytes().chain([0xff])))
}

/// The FNV-1a hash of bytes, the same on every machine. It tells contents apart, but is easily forged.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    hashed(OFFSET_BASIS, bytes.iter().copied())
}

fn hashed(start: u64, bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// A random number generator for one purpose, seeded by [`seed`].
pub fn generator(study: u64, purpose: &[&str]) -> Pcg64Mcg {
    Pcg64Mcg::new(u128::from(seed(study, purpose)) << 1 | 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_fnv_1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(seed(0, &["a", "b"]), fnv1a(b"a\xffb\xff"));
    }

    #[test]
    fn purposes_have_seeds_of_their_own() {
        assert_ne!(seed(0, &["a", "b"]), seed(0, &["ab"]));
        assert_ne!(seed(0, &["a"]), seed(1, &["a"]));
        assert_eq!(generator(3, &["a"]), generator(3, &["a"]));
    }
}
