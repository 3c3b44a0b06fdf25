//! The documentation of the method's sections.

use serde_json::Value;
use spacewright_core::method::{SettingsField, SettingsSection};

use super::defaults;

/// Field and summary.
type Fields = &'static [(&'static str, &'static str)];

const PHASE: &str = "`steps` of gradient descent on `batch` images at a peak `learning_rate`, with \
                     `weight_decay`, a share of linear `warmup`, and a checkpoint every \
                     `checkpoint_steps`";

/// Section, summary, fields.
const SECTIONS: &[(&str, &str, Fields)] = &[
    (
        "tables",
        "The quality tables, one for each stage, block type and width window",
        &[("rows", "rows for each input width and resolution")],
    ),
    (
        "measure",
        "Latency of the blocks that the quality tables hold, and the latency budgets",
        &[
            (
                "budgets",
                "latency budgets: { ms = 1.5 }, or { quantile = 0.2 } of the hyperspace's own latencies",
            ),
            ("stem_rows", "most sub-stages of the stem to measure"),
            ("subnets", "random subnets that make up the latency distribution"),
            ("whole_networks", "whole networks measured to check the sum of their parts"),
            (
                "also",
                "other targets that the space has to suit as well; each has its own budgets, by \
                 the same quantiles",
            ),
        ],
    ),
    (
        "teach",
        "The teacher: a graph with the hyperspace's stages and strides",
        &[
            ("block", "block type of all its stages"),
            ("activation", "non-linearity of its blocks"),
            ("config", "a value for each axis of the block type"),
            (
                "weights",
                "file of a trained teacher of this shape, `teacher.safetensors` of another run; \
                 empty: train it. A file that changes needs another name",
            ),
            ("stem_width", "output width of its stem; 0: the hyperspace's largest"),
            ("widths", "output width of each stage; empty: twice the hyperspace's largest"),
            ("depths", "blocks of each stage; empty: the hyperspace's largest"),
            ("phase", PHASE),
            (
                "augmentation",
                "`flip`: mirror every second image; `shift`: move by up to so many pixels",
            ),
            ("label_smoothing", "share of the label that is spread over all classes"),
            ("distil_images", "training images whose features are kept"),
            ("judge_images", "held-out images whose features are kept"),
        ],
    ),
    (
        "distil",
        "Block-wise distillation of every stage with every block type",
        &[
            ("fp32", PHASE),
            ("int8", PHASE),
            ("calibration_images", "images for recalibration of batch normalization"),
        ],
    ),
    (
        "evolve",
        "The search for the space",
        &[
            ("scorer", "what judges spaces"),
            (
                "score",
                "options of the scorer; those of `q-t`: mode (`exact` or `monte-carlo`), draws, top, \
                 t, a, weights (one per budget), stage_weights (one per stage)",
            ),
            (
                "strategy",
                "how to walk through spaces: `aging-evolution`, `random`, `descent` or `exact`",
            ),
            ("strategy_options", "options of the strategy"),
            (
                "evaluations",
                "spaces to score before the descent or the proof that ends a search; the random \
                 search beside it gets as many",
            ),
            (
                "composition",
                "`consistent`: widths of neighbouring stages match; `independent`: as published",
            ),
        ],
    ),
    (
        "train",
        "The quantized-for-all supernet of the space that was found",
        &[
            ("fp32", PHASE),
            ("int8", PHASE),
            (
                "teacher_share",
                "share of the teacher, from 0 to 1, in the loss against teacher and labels",
            ),
            (
                "guide",
                "whose logits smaller subnets learn from: `largest` (in place), or `teacher`, each \
                 subnet with images of its own",
            ),
            (
                "augmentation",
                "`flip`: mirror every second image; `shift` must stay 0, as the teacher's logits are kept",
            ),
        ],
    ),
    (
        "search",
        "The search for subnets within each latency budget",
        &[
            ("population", "subnets of the first generation; half of them are parents of the next"),
            ("generations", "generations after the first"),
            ("slack", "subnets use at least 1 − slack of their budget"),
            ("calibration_images", "training images for recalibration of batch normalization"),
            ("judge_images", "held-out images that accuracy is judged on"),
        ],
    ),
    (
        "export",
        "Model files, verified on the test set",
        &[
            (
                "calibration_images",
                "training images for the final recalibration and for post-training quantization",
            ),
            (
                "check_images",
                "test images on which every operator is checked against the integer executor",
            ),
            ("post_training", "quantizer whose network stands beside the trained one"),
            (
                "formats",
                "formats of model files besides the target's own, such as `tflite`, or `all`; \
                 `--format` of the command sets it",
            ),
        ],
    ),
    (
        "rivals",
        "The spaces that `bench` compares with the one that was found; trained as [train] says",
        &[
            ("random", "encoding of the random space; empty: drawn uniformly with the seed"),
            (
                "manual",
                "encodings, or block types, each of which stands for its uniform space with the \
                 best score; those that the hyperspace lacks are left out",
            ),
        ],
    ),
    (
        "proxy",
        "`bench proxy`: block-wise losses of subnets against their INT8 accuracy",
        &[
            ("subnets", "random subnets of the space that was found"),
            ("second_subnets", "random subnets of the random space of [rivals]"),
            (
                "fit_share",
                "share of the first space's subnets that the stages' weights are fitted on",
            ),
            ("calibration_images", "training images for recalibration of batch normalization"),
            ("judge_images", "held-out images that accuracy is judged on; at most all of them"),
        ],
    ),
    (
        "spaces",
        "`bench spaces`: the space that was found against those of [rivals]",
        &[
            ("subnets", "random subnets of each space for its error distribution"),
            ("calibration_images", "training images for recalibration of batch normalization"),
            (
                "judge_images",
                "held-out images that their accuracy is judged on; at most all of them",
            ),
        ],
    ),
];

/// Documentation of all sections; defaults are those of the code.
pub fn sections() -> Vec<SettingsSection> {
    let section = |(name, summary, fields): &(&str, &str, Fields)| {
        let defaults = defaults(name).unwrap_or_default();
        let field = |(field, summary): &(&str, &str)| SettingsField {
            name: (*field).to_owned(),
            default: inline(&defaults[*field]),
            summary: (*summary).to_owned(),
        };
        SettingsSection {
            name: (*name).to_owned(),
            summary: (*summary).to_owned(),
            fields: fields.iter().map(field).collect(),
        }
    };
    SECTIONS.iter().map(section).collect()
}

fn inline(value: &Value) -> String {
    match value {
        Value::Object(map) if map.is_empty() => "{}".into(),
        Value::Object(map) => {
            let fields = map.iter().map(|(key, value)| format!("{key} = {}", inline(value)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Names of all sections.
pub fn names() -> String {
    SECTIONS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ")
}
