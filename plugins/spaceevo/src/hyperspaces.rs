//! The method's hyperspaces, as TOML.

use spacewright_core::space::Hyperspace;

/// The built-in hyperspaces as TOML.
pub fn sources() -> Vec<&'static str> {
    vec![
        include_str!("../hyperspaces/mobilew.toml"),
        include_str!("../hyperspaces/onnxw.toml"),
        include_str!("../hyperspaces/mini.toml"),
        include_str!("../hyperspaces/cifar.toml"),
        include_str!("../hyperspaces/cifar_small.toml"),
        include_str!("../hyperspaces/photographs.toml"),
    ]
}

spacewright_sdk::register!("spaceevo", Hyperspaces, sources);

/// The built-in hyperspace of this name.
pub fn built_in(name: &str) -> Option<Hyperspace> {
    let read = |text: &str| toml::from_str::<Hyperspace>(text).ok();
    sources().into_iter().filter_map(read).find(|hyperspace| hyperspace.name == name)
}

#[cfg(test)]
mod tests {
    use spacewright_core::{
        operators::Operators,
        space::{Space, Stage, Subnet, network, subnet_segments},
    };

    use super::*;

    /// Millions of multiply-adds of the smallest and of the largest network of all.
    fn extremes(name: &str) -> [f64; 2] {
        let hyperspace = built_in(name).unwrap();
        let operators = Operators::new(spacewright_operators_cnn::operator_sets()).unwrap();
        let (mut smallest, mut largest) = (f64::INFINITY, 0.0f64);
        for block in 0..hyperspace.candidates.len() {
            for last in [false, true] {
                let window = |stage: &Stage| {
                    if last { stage.windows() - 1 } else { 0 }
                };
                let space = Space {
                    hyperspace: name.into(),
                    blocks: vec![block; hyperspace.stages.len()],
                    windows: hyperspace.stages.iter().map(window).collect(),
                };
                let stages = space.elastic_stages(&hyperspace);
                let macs = |subnet: Subnet| {
                    let segments =
                        subnet_segments(&operators, &hyperspace, &stages, &subnet).unwrap();
                    network(segments).unwrap().macs().unwrap() as f64 / 1e6
                };
                smallest = smallest.min(macs(Subnet::smallest(&stages, &hyperspace.resolutions)));
                largest = largest.max(macs(Subnet::largest(&stages, &hyperspace.resolutions)));
            }
        }
        [smallest, largest]
    }

    #[test]
    fn hyperspaces_of_real_images_have_networks_of_many_sizes() {
        for (name, [smallest, largest]) in [("cifar", [6.0, 150.0]), ("photographs", [15.0, 150.0])]
        {
            let [found_smallest, found_largest] = extremes(name);
            assert!(
                found_smallest < smallest && found_largest > largest,
                "{found_smallest} {found_largest}"
            );
        }
    }

    #[test]
    fn networks_of_cifar_small_train_in_minutes() {
        let [smallest, largest] = extremes("cifar_small");
        assert!(smallest < 2.5 && (20.0..27.0).contains(&largest), "{smallest} {largest}");
    }
}
