//! The built-in hyperspaces: sizes, published encodings, counts of multiply-adds and parameters.

use spacewright_core::{
    operators::Operators,
    space::{ElasticStage, Hyperspace, Space, Subnet, network, subnet_segments},
};
use spacewright_operators_cnn::operator_sets;
use spacewright_spaceevo::hyperspaces::built_in;

const SEQNETS: &str = include_str!("seqnets.txt");

fn counts(hyperspace: &Hyperspace, stages: &[ElasticStage], subnet: &Subnet) -> (u64, u64) {
    let operators = Operators::new(operator_sets()).unwrap();
    let segments = subnet_segments(&operators, hyperspace, stages, subnet).unwrap();
    let graph = network(segments).unwrap();
    (graph.macs().unwrap(), graph.params().unwrap())
}

#[test]
fn built_in_hyperspaces_are_valid_and_as_large_as_published() {
    let operators = Operators::new(operator_sets()).unwrap();
    for (name, spaces) in [("mobilew", 1_185_901_920u64), ("onnxw", 95_551_488), ("mini", 10_000)] {
        let hyperspace = built_in(name).unwrap();
        hyperspace.validate(&operators).unwrap();
        assert_eq!(hyperspace.space_count(), spaces.into(), "{name}");
    }
}

#[test]
fn spaces_hold_as_many_subnets_as_published() {
    for (space, magnitude) in [
        ("mobilew-122222-155400", 1.8e49),
        ("mobilew-332160-134200", 8.6e46),
        ("mobilew-112220-154410", 2.1e48),
        ("onnxw-151122-023231", 8.3e38),
        ("onnxw-121122-133333", 5.4e37),
        ("mobilew-000000-000000", 1.6e34),
        ("mobilew-444444-000000", 1.7e53),
        ("onnxw-000000-000000", 5.0e24),
        ("onnxw-555555-000000", 1.2e46),
    ] {
        let hyperspace = built_in(Space::hyperspace_name(space).unwrap()).unwrap();
        let count = Space::parse(space, &hyperspace).unwrap().subnet_count(&hyperspace);
        let count: f64 = count.to_string().parse().unwrap();
        assert!((count / magnitude - 1.0).abs() < 0.05, "{space}: {count:e}");
    }
}

#[test]
fn the_published_networks_have_their_encodings_and_counts() {
    for line in SEQNETS.lines().filter(|line| !line.starts_with('#')) {
        let [name, space, mmacs, mparams, encoding] =
            line.split_whitespace().collect::<Vec<_>>()[..]
        else {
            panic!("{line}");
        };
        let hyperspace = built_in(Space::hyperspace_name(space).unwrap()).unwrap();
        let space = Space::parse(space, &hyperspace).unwrap();
        let stages = space.elastic_stages(&hyperspace);
        let subnet = Subnet::parse(encoding, &stages, &hyperspace.resolutions).unwrap();
        assert_eq!(subnet.to_string(), encoding, "{name}");
        let (macs, params) = counts(&hyperspace, &stages, &subnet);
        assert_eq!(format!("{:.1}", macs as f64 / 1e6), mmacs, "{name}");
        assert_eq!(format!("{:.2}", params as f64 / 1e6), mparams, "{name}");
    }
}

#[test]
fn the_smallest_and_largest_subnets_of_published_spaces_have_their_counts() {
    for (space, smallest, largest) in [
        ("mobilew-122222-155400", 112.9, 2495.6),
        ("mobilew-332160-134200", 79.5, 3278.9),
        ("mobilew-112220-154410", 107.7, 2386.3),
        ("onnxw-151122-023231", 163.5, 5837.9),
        ("onnxw-121122-133333", 219.9, 3484.4),
    ] {
        let hyperspace = built_in(Space::hyperspace_name(space).unwrap()).unwrap();
        let stages = Space::parse(space, &hyperspace).unwrap().elastic_stages(&hyperspace);
        let sizes = &hyperspace.resolutions;
        for (subnet, mmacs) in [
            (Subnet::smallest(&stages, sizes), smallest),
            (Subnet::largest(&stages, sizes), largest),
        ] {
            let (macs, _) = counts(&hyperspace, &stages, &subnet);
            assert!((macs as f64 / 1e6 - mmacs).abs() < 0.051, "{space}: {macs}, {mmacs}");
        }
    }
}

#[test]
fn mini_networks_are_cheap_to_train() {
    let hyperspace = built_in("mini").unwrap();
    for space in hyperspace.uniform_spaces() {
        let stages = space.elastic_stages(&hyperspace);
        let sizes = &hyperspace.resolutions;
        let (smallest, _) = counts(&hyperspace, &stages, &Subnet::smallest(&stages, sizes));
        let (largest, _) = counts(&hyperspace, &stages, &Subnet::largest(&stages, sizes));
        assert!(smallest < 4_000_000, "{space}: {smallest}");
        assert!(largest < 24_000_000, "{space}: {largest}");
    }
}
