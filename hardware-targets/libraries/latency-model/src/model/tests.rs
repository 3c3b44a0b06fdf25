//! Files of models: round trips, and what is refused.

use proptest::prelude::*;
use spacewright_core::latency::Accuracy;

use super::*;
use crate::{features::FEATURES, physical::TERMS};

const QUANTILES: Quantiles = Quantiles { q05: -0.1, q10: -0.05, q50: 0.0, q90: 0.06, q95: 0.12 };

/// Edges at 1 … `edges` for each feature.
pub(crate) fn model(edges: usize, trees: Vec<Tree>) -> Model {
    let edges: Vec<f32> = (1..=edges).map(|edge| edge as f32).collect();
    Model {
        format: FORMAT.into(),
        version: VERSION,
        name: "toy".into(),
        summary: "A toy".into(),
        source: "made up".into(),
        fingerprint: "no machine".into(),
        precision: Precision::Int8,
        rules: FusionRules::common(),
        held_out: vec![HeldOut { how: "not at all".into(), accuracy: Accuracy::default() }],
        intervals: Intervals {
            how: "made up".into(),
            all: QUANTILES,
            dominated_by: BTreeMap::from([(Group::Conv1x1, QUANTILES)]),
        },
        parameters: Parameters {
            kernels: BTreeMap::from([(Kind::Conv, 3), (Kind::Add, 0)]),
            physical: Physical::default(),
            edges: Feature::ALL.map(|feature| Edges { feature, edges: edges.clone() }).into(),
            trees,
        },
    }
}

fn tree() -> Tree {
    Tree { splits: vec![(4, 1)], leaves: vec![0.25, -0.125] }
}

#[test]
fn trees_and_edges_are_lines() {
    let json = model(2, vec![tree(), tree()]).to_json().unwrap();
    let line = r#"      {"splits": [[4,1]],"leaves": [0.25,-0.125]}"#;
    assert_eq!(json.lines().filter(|text| text.trim_end_matches(',') == line).count(), 2, "{json}");
    assert!(json.contains("\n      {\"feature\": \"cin\",\"edges\": [1.0,2.0]},\n"), "{json}");
}

#[test]
fn other_files_are_refused() {
    let error = |text: &str| Model::from_json(text).unwrap_err().to_string();
    assert!(error("[]").starts_with("not a latency model: "));
    assert_eq!(
        error(r#"{"format": "onnx", "version": 1}"#),
        "not a latency model: the format is `onnx`, not `spacewright-latency-model`"
    );
    assert_eq!(
        error(r#"{"format": "spacewright-latency-model", "version": 2, "new": []}"#),
        "the latency model has version 2, but only version 1 can be read; hint: fit it again"
    );
    let unknown = model(1, vec![]).to_json().unwrap().replacen("summary", "sumary", 1);
    assert!(error(&unknown).contains("unknown field `sumary`"));
}

#[test]
fn contradictions_are_refused() {
    let error = |spoil: fn(&mut Model)| {
        let mut model = model(2, vec![tree()]);
        spoil(&mut model);
        let error = model.check().unwrap_err().to_string();
        assert_eq!(model.to_json().unwrap_err().to_string(), error);
        error.strip_prefix("latency model `toy`, ").unwrap().to_owned()
    };
    assert_eq!(
        error(|m| m.parameters.trees[0].splits[0] = (4, 2)),
        "tree 0: there is no edge 2 of feature 4"
    );
    assert_eq!(
        error(|m| m.parameters.trees[0].splits[0] = (10, 0)),
        "tree 0: there is no edge 0 of feature 10"
    );
    assert_eq!(
        error(|m| m.parameters.trees[0].leaves.push(0.0)),
        "tree 0: 1 levels need 2 leaves, not 3"
    );
    assert_eq!(
        error(|m| m.parameters.trees[0].leaves[0] = f32::NAN),
        "tree 0: leaves must be numbers from -1 to 1"
    );
    assert_eq!(
        error(|m| m.parameters.physical.coefficients[0][0] = -1.0),
        "physical: coefficients must be numbers from 0 to 1e9"
    );
    assert_eq!(error(|m| m.parameters.edges[3].edges.swap(0, 1)), "edges of Pixels: must ascend");
    assert!(error(|m| m.parameters.edges.swap(0, 1)).starts_with("edges: needs the features"));
    assert_eq!(error(|m| m.intervals.all.q05 = 1.0), "intervals.all: quantiles must ascend");
    assert_eq!(
        error(|m| m.held_out[0].accuracy.within_5 = 1.5),
        "held_out `not at all`: within_5 = 1.5: shares must lie between 0 and 1"
    );
}

#[test]
fn infinite_numbers_are_refused() {
    let json = model(2, vec![tree()]).to_json().unwrap();
    let infinite = json.replacen("[0.25,-0.125]", "[1e60,-0.125]", 1);
    assert!(Model::from_json(&infinite).is_err());
    let infinite = json.replacen("\"q95\": 0.12", "\"q95\": 1e999", 1);
    assert!(Model::from_json(&infinite).is_err());
}

#[test]
fn the_hash_follows_the_content() {
    let hash = |leaf: f32| {
        let tree = Tree { splits: vec![], leaves: vec![leaf] };
        model(1, vec![tree]).content_hash().unwrap()
    };
    assert_eq!(hash(0.5), hash(0.5));
    assert_ne!(hash(0.5), hash(0.25));
}

fn any_tree() -> impl Strategy<Value = Tree> {
    (0usize..=MAX_DEPTH).prop_flat_map(|depth| {
        let splits = prop::collection::vec((0..FEATURES as u8, 0u8..5), depth);
        let leaves = prop::collection::vec(-0.5f32..0.5, 1 << depth);
        (splits, leaves).prop_map(|(splits, leaves)| Tree { splits, leaves })
    })
}

proptest! {
    #[test]
    fn a_model_survives_its_file(
        trees in prop::collection::vec(any_tree(), 0..4),
        edges in prop::collection::btree_set(any::<i32>(), 5..20),
        coefficients in prop::collection::vec(0.0f64..1e3, TERMS),
        quantiles in prop::collection::vec(-1.0f64..1.0, 5),
        name in ".{0,20}",
    ) {
        let mut written = model(5, trees);
        written.name = name;
        // Numbers that collapse in single precision are one edge.
        let mut distinct: Vec<f32> = edges.into_iter().map(|edge| edge as f32 * 0.37).collect();
        distinct.dedup();
        if distinct.len() >= 5 {
            written.parameters.edges[8].edges = distinct;
        }
        for (group, row) in written.parameters.physical.coefficients.iter_mut().enumerate() {
            let used = Group::at(group).terms().len();
            row[..used].copy_from_slice(&coefficients[..used]);
        }
        let mut ascending = quantiles;
        ascending.sort_by(f64::total_cmp);
        written.intervals.all = Quantiles::of(&ascending);
        let read = Model::from_json(&written.to_json().unwrap()).unwrap();
        prop_assert_eq!(read, written);
    }
}
