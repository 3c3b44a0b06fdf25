//! A small problem with plausible numbers.

use std::collections::BTreeMap;

use spacewright_core::{
    graph::ActivationKind,
    quality::{Cell, Composition, FixedLatency, HeadRow, ScoreColumns, StemRow},
    score::ScoreProblem,
    space::{Candidate, HeadBlock, Hyperspace, Space, Stage, StemStage},
};

const RESOLUTIONS: [usize; 2] = [32, 48];
/// Milliseconds; between them lie some subnets of every space.
const LIMITS: [f64; 2] = [2.5, 6.0];

/// Two stages with two candidates and two windows each.
fn hyperspace() -> Hyperspace {
    let candidate = |block: &str| Candidate {
        block: block.into(),
        activation: ActivationKind::Relu,
        choices: [("kernel".into(), vec![3.0, 5.0])].into(),
    };
    let stage = |name: &str, widths: [usize; 3]| Stage {
        name: name.into(),
        stride: 2,
        widths: widths.into(),
        window: 2,
        depths: [1, 2],
    };
    Hyperspace {
        name: "probe".into(),
        summary: "For checks of scorers".into(),
        input_channels: 3,
        classes: 10,
        fixed_input: false,
        resolutions: RESOLUTIONS.into(),
        table_resolutions: RESOLUTIONS.into(),
        fixed_latency_ms: BTreeMap::new(),
        stem: vec![StemStage {
            name: "stem".into(),
            stride: 2,
            widths: vec![8, 16],
            depths: [1, 1],
            candidate: candidate("narrow"),
        }],
        candidates: vec![candidate("narrow"), candidate("wide")],
        stages: vec![stage("stage1", [16, 24, 32]), stage("stage2", [32, 48, 64])],
        head: vec![HeadBlock {
            name: "logits".into(),
            block: "classify".into(),
            activation: ActivationKind::Relu,
            width: 10,
            config: Default::default(),
        }],
    }
}

/// Every form of the problem, with its name.
pub(super) fn problems() -> [(String, ScoreProblem); 4] {
    let [consistent, independent] = [Composition::Consistent, Composition::Independent];
    [(consistent, true), (consistent, false), (independent, true), (independent, false)].map(
        |(composition, predicted)| {
            let fixed = if predicted { self::predicted() } else { per_resolution() };
            let parts = if predicted { "predicted" } else { "known" };
            let form = format!("{}, stem and head {parts}", crate::text::name_of(&composition));
            (form, problem(composition, fixed))
        },
    )
}

fn problem(composition: Composition, fixed: FixedLatency) -> ScoreProblem {
    let hyperspace = hyperspace();
    let all = hyperspace.spaces().flat_map(|space| Cell::of_space(&space).collect::<Vec<_>>());
    let cells = all.map(|cell| (cell, columns(&hyperspace, cell))).collect();
    ScoreProblem { cells, fixed, constraints_ms: LIMITS.into(), composition, hyperspace }
}

/// One row for each resolution, input width and output width: the wider, the slower and better.
fn columns(hyperspace: &Hyperspace, cell: Cell) -> ScoreColumns {
    let mut columns = ScoreColumns::default();
    let factor = 1 + cell.block;
    for resolution in RESOLUTIONS {
        for &input in hyperspace.input_widths(cell.stage) {
            for &output in hyperspace.stages[cell.stage].window_widths(cell.window) {
                let params = input * output * 9 * factor;
                let area = (resolution >> (cell.stage + 2)).pow(2);
                columns.input_width.push(input as u32);
                columns.output_width.push(output as u32);
                columns.resolution.push(resolution as u32);
                columns.macs.push((params * area) as u64);
                columns.params.push(params as u64);
                columns.loss.push(2.0 / (output * factor) as f64);
                columns.latency_ms.push(milliseconds(input * output * factor, resolution));
            }
        }
    }
    columns
}

fn milliseconds(work: usize, resolution: usize) -> f64 {
    work as f64 / 1000.0 * (resolution as f64 / 32.0).powi(2)
}

fn per_resolution() -> FixedLatency {
    FixedLatency::PerResolution(RESOLUTIONS.map(|r| (r, milliseconds(400, r))).into())
}

fn predicted() -> FixedLatency {
    let hyperspace = hyperspace();
    let (mut stem, mut head) = (Vec::new(), Vec::new());
    for resolution in RESOLUTIONS {
        for &width in hyperspace.input_widths(0) {
            let latency_ms = milliseconds(20 * width, resolution);
            stem.push(StemRow { width, resolution, latency_ms });
        }
        for &width in hyperspace.input_widths(hyperspace.stages.len()) {
            let latency_ms = milliseconds(2 * width, resolution);
            head.push(HeadRow { width, resolution, latency_ms });
        }
    }
    FixedLatency::Predicted { stem, head }
}

/// Some spaces of the problem.
pub(super) fn spaces() -> Vec<Space> {
    let choices = [([0, 0], [0, 0]), ([1, 1], [1, 1]), ([0, 1], [1, 0]), ([1, 0], [0, 1])];
    let space = |(blocks, windows): ([usize; 2], [usize; 2])| Space {
        hyperspace: "probe".into(),
        blocks: blocks.into(),
        windows: windows.into(),
    };
    choices.map(space).into()
}
