//! Against the tables that SpaceEvo published (public repository microsoft/Moonlit).

use crate::json;

fn tables() -> String {
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
    /// Mean and standard deviation of twelve scores by the published code on the same rows.
    fn scores_are_those_of_the_published_procedure() {
        for (space, limits, mean, std) in [
            ("mobilew-122222-155400", &[15, 20][..], 0.73309, 0.00346),
            ("mobilew-332160-134200", &[15, 20], 0.72874, 0.00072),
            ("mobilew-112220-154410", &[15, 20], 0.74087, 0.00241),
            ("onnxw-151122-023231", &[10], 0.37736, 0.00153),
        ] {
            let limits: String = limits.iter().map(|ms| format!(" --constraint {ms}")).collect();
            let score = json(&format!(
                "space score {space} --tables {}{limits} --score monte-carlo \
                 --composition independent --repeats 12 --seed 0",
                tables()
            ));
            let found = |field: &str| score["spaces"][0][field].as_f64().unwrap();
            assert!((found("mean") - mean).abs() < 2.0 * std, "{space}: {}", found("mean"));
            assert!(found("std") < 3.0 * std, "{space}: {}", found("std"));
        }
    }
}

with_tables! {
    fn a_search_is_better_than_chance_and_repeats_itself() {
        let search = |strategy: &str, threads: usize| {
            let mut found = json(&format!(
                "space search --hyperspace onnxw --tables {} --constraint 10 --evaluations 900 \
                 --composition independent --draws 20000 --strategy {strategy} --threads {threads}",
                tables()
            ));
            assert_eq!(found["evaluations"], 900);
            assert_eq!(found["best"], found["top"][0]["space"]);
            found["seconds"].take();
            found
        };
        let evolved = search("evolution", 1);
        assert_eq!(evolved, search("evolution", 3));
        let drawn = search("random", 2);
        assert!(evolved["score"].as_f64() > drawn["score"].as_f64(), "{evolved}\n{drawn}");
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
