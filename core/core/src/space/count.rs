//! Exact numbers of spaces and subnets.

use num_bigint::BigUint;

use super::{ElasticStage, Hyperspace, Space};

impl Hyperspace {
    /// Number of candidate spaces.
    pub fn space_count(&self) -> BigUint {
        let blocks = BigUint::from(self.candidates.len());
        self.stages.iter().map(|stage| &blocks * BigUint::from(stage.windows())).product()
    }
}

impl ElasticStage {
    /// Number of sub-stages: every block chooses its width and its configuration on its own.
    pub fn sub_stage_count(&self) -> BigUint {
        let choices = self.candidate.choices.values().map(Vec::len);
        let block: BigUint = choices.chain([self.widths.len()]).map(BigUint::from).product();
        (self.depths[0]..=self.depths[1]).map(|depth| block.pow(depth as u32)).sum()
    }
}

impl Space {
    /// Number of subnets, at all resolutions of the hyperspace.
    pub fn subnet_count(&self, hyperspace: &Hyperspace) -> BigUint {
        let stages = self.elastic_stages(hyperspace);
        let networks: BigUint = stages.iter().map(ElasticStage::sub_stage_count).product();
        networks * BigUint::from(hyperspace.resolutions.len())
    }

    /// Decimal logarithm of the number of subnets, of which there may be more than floating-point
    /// numbers can say.
    pub fn log10_subnets(&self, hyperspace: &Hyperspace) -> f64 {
        /// Digits that numbers in double precision hold.
        const DIGITS: usize = 15;
        let digits = self.subnet_count(hyperspace).to_string();
        let (first, rest) = digits.split_at(digits.len().min(DIGITS));
        first.parse::<f64>().unwrap_or_default().log10() + rest.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng;

    use crate::space::{Space, Subnet, testing};

    #[test]
    fn counts_are_exact() {
        let hyperspace = testing::hyperspace();
        assert_eq!(hyperspace.space_count(), (3u32 * 3 * 2 * 4).into());
        let space = Space::parse("toy-01-00", &hyperspace).unwrap();
        let (first, second) = (4 + 4 * 4, 8 + 8 * 8 + 8 * 8 * 8);
        let count = 2u32 * first * second;
        assert_eq!(space.subnet_count(&hyperspace), count.into());
        assert!((space.log10_subnets(&hyperspace) - f64::from(count).log10()).abs() < 1e-12);
        let mut deep = hyperspace.clone();
        deep.stages[1].depths = [1000, 1000];
        let log = (2.0 * f64::from(first)).log10() + 1000.0 * 8.0_f64.log10();
        assert!((space.log10_subnets(&deep) - log).abs() < 1e-9);
    }

    #[test]
    fn drawing_finds_as_many_subnets_as_are_counted() {
        let mut hyperspace = testing::hyperspace();
        hyperspace.stages.truncate(1);
        let space = Space { hyperspace: "toy".into(), blocks: vec![1], windows: vec![0] };
        let stages = space.elastic_stages(&hyperspace);
        let rng = &mut rand_pcg::Pcg32::seed_from_u64(1);
        let found: HashSet<String> = (0..10_000)
            .map(|_| Subnet::random(&stages, &hyperspace.resolutions, rng).to_string())
            .collect();
        assert_eq!(space.subnet_count(&hyperspace), found.len().into());
    }
}
