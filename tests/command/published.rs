//! Against the tables that SpaceEvo published (public repository microsoft/Moonlit).

use crate::{json, refusal};

pub fn tables() -> String {
    let folder = option_env!("SPACEWRIGHT_TABLES").unwrap_or_default();
    format!("{folder}/spaceevo-block-lut")
}

macro_rules! with_tables {
    ($(#[$doc:meta])* fn $name:ident() $body:block) => {
        #[test]
        #[cfg_attr(
            not(spacewright_tables),
            ignore = "SPACEWRIGHT_TABLES does not name the folder that holds spaceevo-block-lut"
        )]
        $(#[$doc])*
        fn $name() $body
    };
}

with_tables! {
    fn all_rows_have_the_counts_of_their_graphs() {
        for (hyperspace, files, rows) in [("mobilew", 210, 178_232), ("onnxw", 132, 112_109)] {
            let check = json(&format!("table check {} --hyperspace {hyperspace}", tables()));
            assert_eq!(check["files"], files);
            assert_eq!(check["rows"], rows);
            assert_eq!(check["macs_equal"], rows);
            assert_eq!(check["params_equal"], rows);
            assert_eq!(check["mismatches"], serde_json::json!([]));
        }
    }
}

with_tables! {
    fn a_limit_that_no_network_keeps_to_is_refused() {
        let said = refusal(&format!(
            "space search --hyperspace onnxw --tables {} --constraint 0.001 --constraint 10",
            tables()
        ));
        let begin = "error: no network of `onnxw` keeps to 0.00100 ms: by these tables the fastest takes ";
        assert!(said.starts_with(begin), "{said}");
        assert!(said.ends_with(" ms\nhint: give a larger limit in --constraint\n"), "{said}");
    }
}

/// Spaces with their limits; mean and standard deviation of twelve scores by the published code
/// on the same rows.
const PUBLISHED: [(&str, &[u32], f64, f64); 4] = [
    ("mobilew-122222-155400", &[15, 20], 0.73309, 0.00346),
    ("mobilew-332160-134200", &[15, 20], 0.72874, 0.00072),
    ("mobilew-112220-154410", &[15, 20], 0.74087, 0.00241),
    ("onnxw-151122-023231", &[10], 0.37736, 0.00153),
];

/// What `space score` says of one space.
fn scored(space: &str, limits: &[u32], flags: &str) -> serde_json::Value {
    let limits: String = limits.iter().map(|ms| format!(" --constraint {ms}")).collect();
    let tables = tables();
    let report = json(&format!("space score {space} --tables {tables}{limits} {flags}"));
    report["spaces"][0].clone()
}

with_tables! {
    fn drawn_and_exact_scores_are_those_of_the_published_procedure() {
        for (space, limits, mean, std) in PUBLISHED {
            let number = |score: &serde_json::Value, field: &str| score[field].as_f64().unwrap();
            let flags = "--score monte-carlo --composition independent --repeats 12 --seed 0";
            let drawn = scored(space, limits, flags);
            assert!((number(&drawn, "mean") - mean).abs() < 2.0 * std, "{drawn}");
            assert!(number(&drawn, "std") < 3.0 * std, "{drawn}");

            let exact = scored(space, limits, "--score exact --composition independent");
            let score = number(&exact, "score");
            let chance = 3.0 * number(&drawn, "std") / 12f64.sqrt();
            assert!((score - number(&drawn, "mean")).abs() < chance + 1e-3 * score, "{exact} {drawn}");
            assert!(number(&exact, "error_bound") < 1e-4 * score, "{exact}");
            for (part, limit) in exact["constraints"].as_array().unwrap().iter().zip(limits) {
                assert_eq!(part["limit_ms"], f64::from(*limit));
                assert!(number(part, "quality") > 2.0 && number(part, "feasible") > 8e-5, "{part}");
            }
        }
    }
}

with_tables! {
    fn exact_scores_are_identical_on_any_number_of_threads() {
        let spaces = "onnxw-151122-023231 onnxw-121122-133333 onnxw-000000-000000";
        for composition in ["independent", "consistent"] {
            let score = |threads: usize| {
                json(&format!(
                    "space score {spaces} --tables {} --constraint 10 --threads {threads} \
                     --composition {composition}",
                    tables()
                ))
            };
            assert_eq!(score(1), score(3));
        }
    }
}

with_tables! {
    fn a_space_without_feasible_subnets_is_told_from_a_worse_one() {
        let score = |limit| scored("onnxw-555555-133333", &[limit], "")["score"].as_f64().unwrap();
        let scores = [1, 2, 3, 4, 6, 10, 20].map(score);
        assert!(scores.is_sorted_by(|a, b| a < b), "{scores:?}");
    }
}

/// What `space search` finds, without what depends on time.
fn searched(hyperspace: &str, flags: &str) -> serde_json::Value {
    let tables = tables();
    let mut found =
        json(&format!("space search --hyperspace {hyperspace} --tables {tables} {flags}"));
    assert_eq!(found["best"], found["top"][0]["space"]);
    assert!(found["scores_per_second"].take().as_f64() > Some(0.0));
    assert!(found["seconds"].take().as_f64() > Some(0.0));
    found
}

with_tables! {
    /// Better than the published spaces (0.3774 and 0.7409), and the same from every start.
    fn searches_agree_on_better_spaces_than_the_published_ones() {
        for (hyperspace, flags, best, bar) in [
            ("onnxw", "--constraint 10", "onnxw-131121-022230", 0.3842),
            ("mobilew", "--constraint 15 --constraint 20", "mobilew-312220-154201", 0.7540),
        ] {
            for (strategy, evaluations, seed) in
                [("aging-evolution", 2000, 0), ("aging-evolution", 2000, 1), ("random", 2000, 2)]
            {
                let found = searched(
                    hyperspace,
                    &format!(
                        "{flags} --composition independent --strategy {strategy} \
                         --evaluations {evaluations} --seed {seed}"
                    ),
                );
                assert_eq!(found["best"], best, "{found}");
                assert!(found["score"].as_f64().unwrap() > bar, "{found}");
                assert!(found["gap"].is_null());
            }
        }
    }
}

with_tables! {
    fn a_search_repeats_itself_on_any_number_of_threads() {
        let search = |threads: usize| {
            let flags = format!("--constraint 10 --evaluations 900 --threads {threads}");
            searched("onnxw", &flags)
        };
        assert_eq!(search(1), search(3));
    }
}

with_tables! {
    fn a_proof_says_how_far_the_best_is_from_the_optimum() {
        let found = searched(
            "onnxw",
            "--constraint 10 --composition independent --strategy exact --evaluations 1500 \
             --strategy-options {\"candidates\":2000}",
        );
        assert_eq!(found["best"], "onnxw-131121-022230");
        let gap = found["gap"].as_f64().unwrap();
        assert!(gap > 0.0 && gap < 0.06, "{gap}");
    }
}

with_tables! {
    fn the_speed_of_scores_is_measured() {
        let speed = json(&format!(
            "bench score --hyperspace onnxw --tables {} --constraint 10 --evaluations 60",
            tables()
        ));
        for field in ["scores_per_second", "from_scratch_per_second", "times_drawing"] {
            assert!(speed[field].as_f64() > Some(0.0), "{speed}");
        }
    }
}

with_tables! {
    fn networks_that_exist_are_scored_too() {
        let score = json(&format!(
            "space score onnxw-151122-023231 mobilew-332160-134200 --tables {} --constraint 20",
            tables()
        ));
        assert_eq!(score["spaces"][0]["space"], "onnxw-151122-023231");
        for space in score["spaces"].as_array().unwrap() {
            assert!(space["score"].as_f64().unwrap() > 0.3, "{space}");
        }
    }
}
