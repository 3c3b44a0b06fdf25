//! Why a space is good.

mod text;

use std::{fs, path::Path};

use serde::Serialize;
use spacewright_core::{
    score::{Analysis, ConstraintScore, PreparedScorer, Support},
    search::ScoredSpace,
    space::{Hyperspace, Space},
};
use spacewright_spaceevo::{
    edf::{self, Curve, QUANTILES},
    explain::{Alternative, Explanation, best_of_each},
};

use super::ConstraintRow;
use crate::{
    catalog,
    cli::SpaceExplainArgs,
    commands::scoring,
    render::{Failure, Output},
};

#[derive(Serialize)]
struct ExplainReport {
    space: String,
    score: f64,
    /// The score differs from its definition by no more than this.
    error_bound: Option<f64>,
    constraints: Vec<Constraint>,
    stages: Vec<StageRow>,
    /// Shares of the feasible subnets, for `losses` of the spaces.
    quantiles: [f64; 5],
    spaces: Vec<SpaceRow>,
    files: Vec<String>,
}

#[derive(Serialize)]
struct Constraint {
    #[serde(flatten)]
    row: ConstraintRow,
    /// The smallest effective number of rows, and the stage that has it.
    least_support: Option<f64>,
    least_support_stage: Option<String>,
}

#[derive(Serialize)]
struct StageRow {
    stage: String,
    #[serde(flatten)]
    choice: Choice,
    /// By constraint; `null` where nothing feasible was seen.
    support: Vec<Option<Support>>,
    /// All other choices of this stage, best first.
    alternatives: Vec<AlternativeRow>,
}

#[derive(Serialize)]
struct Choice {
    block: String,
    candidate: usize,
    window: usize,
    widths: Vec<usize>,
}

#[derive(Serialize)]
struct AlternativeRow {
    #[serde(flatten)]
    choice: Choice,
    score: f64,
    /// Of the score to that of the space: negative where the alternative is worse.
    difference: f64,
}

/// The error-distribution function of a space.
#[derive(Serialize)]
struct SpaceRow {
    space: String,
    /// `explained`, `against` or `uniform`.
    role: Role,
    /// Of spaces with one block type everywhere.
    block: Option<String>,
    /// Among these, the best of its block type: it is listed and plotted.
    shown: bool,
    score: f64,
    constraints: Vec<Losses>,
}

#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Role {
    Explained,
    Against,
    Uniform,
}

#[derive(Serialize)]
struct Losses {
    limit_ms: f64,
    feasible: f64,
    /// The summed loss that each of the quantiles stays below; `null` where nothing is feasible.
    losses: [Option<f64>; 5],
}

pub fn explain(args: &SpaceExplainArgs, seed: u64) -> Result<Output, Failure> {
    let (hyperspace, space) = catalog::space(&args.space, args.hyperspace.as_deref())?;
    let against = args.against.iter().map(|encoding| {
        Space::parse(encoding, &hyperspace)
            .map_err(|error| Failure::input(error).hint("--against takes spaces of one hyperspace"))
    });
    let against = against.collect::<Result<Vec<Space>, Failure>>()?;
    let scorer = scoring::prepare(&args.scoring, &hyperspace)?;
    let Some(analysis) = scorer.analysis() else {
        let message = format!(
            "the scorer `{}` gives scores only: no error bounds, distributions or support",
            args.scoring.scorer
        );
        let hint = "use the scorer `q-t` in the mode `exact`; `space score` takes all scorers";
        return Err(Failure::input(message).hint(hint));
    };
    let explanation =
        Explanation::new(&hyperspace, &*scorer, &space, seed).map_err(Failure::input)?;
    let compared = compared(&hyperspace, &*scorer, &explanation.scored, against, seed)?;
    let (spaces, curves) =
        distributions(&hyperspace, analysis, &args.scoring.constraints, compared)?;
    let files = match &args.out {
        Some(folder) => write(folder, &args.scoring.constraints, &spaces, &curves)?,
        None => Vec::new(),
    };
    let report = report(&hyperspace, &explanation, spaces, files);
    Output::new(text::text(&report), &report)
}

/// The space, those of `--against`, and those with one block type everywhere, each once.
fn compared(
    hyperspace: &Hyperspace,
    scorer: &dyn PreparedScorer,
    explained: &ScoredSpace,
    against: Vec<Space>,
    seed: u64,
) -> Result<Vec<(Role, bool, ScoredSpace)>, Failure> {
    let scored = |spaces: Vec<Space>| {
        let scores = scorer.score(&spaces, seed).map_err(Failure::input)?;
        let pairs = spaces.into_iter().zip(scores);
        Ok::<_, Failure>(
            pairs.map(|(space, score)| ScoredSpace { space, score }).collect::<Vec<_>>(),
        )
    };
    let uniform = scored(hyperspace.uniform_spaces())?;
    let best = best_of_each(uniform.iter().cloned());
    let is_best = |scored: &ScoredSpace| best.iter().any(|best| best.space == scored.space);
    let mut all = vec![(Role::Explained, true, explained.clone())];
    let against = scored(against)?.into_iter().map(|scored| (Role::Against, true, scored));
    let uniform = uniform.into_iter().map(|scored| (Role::Uniform, is_best(&scored), scored));
    for entry in against.chain(uniform) {
        if !all.iter().any(|known| known.2.space == entry.2.space) {
            all.push(entry);
        }
    }
    Ok(all)
}

fn distributions(
    hyperspace: &Hyperspace,
    analysis: &dyn Analysis,
    limits_ms: &[f64],
    compared: Vec<(Role, bool, ScoredSpace)>,
) -> Result<(Vec<SpaceRow>, Vec<Curve>), Failure> {
    let named = |(_, _, scored): &(Role, bool, ScoredSpace)| {
        (scored.space.to_string(), scored.space.clone())
    };
    let spaces: Vec<(String, Space)> = compared.iter().map(named).collect();
    let curves = edf::curves(analysis, &spaces, limits_ms).map_err(Failure::input)?;
    let row = |((role, shown, scored), curves): ((Role, bool, ScoredSpace), &[Curve])| {
        let losses = |curve: &Curve| Losses {
            limit_ms: curve.limit_ms,
            feasible: curve.edf.feasible(),
            losses: QUANTILES.map(|share| curve.edf.loss_at(share)),
        };
        let first = scored.space.blocks[0];
        let uniform = scored.space.blocks.iter().all(|block| *block == first);
        SpaceRow {
            space: scored.space.to_string(),
            role,
            block: uniform.then(|| hyperspace.candidates[first].block.clone()),
            shown,
            score: scored.score.score,
            constraints: curves.iter().map(losses).collect(),
        }
    };
    let rows = compared.into_iter().zip(curves.chunks(limits_ms.len())).map(row).collect();
    Ok((rows, curves))
}

/// Writes all distributions as CSV and the shown ones as plots; the files' paths.
fn write(
    folder: &Path,
    limits_ms: &[f64],
    spaces: &[SpaceRow],
    curves: &[Curve],
) -> Result<Vec<String>, Failure> {
    let mut files = vec![("edf.csv".to_owned(), edf::csv(curves))];
    for (limit, limit_ms) in limits_ms.iter().enumerate() {
        let of_limit = curves.chunks(limits_ms.len()).map(|curves| &curves[limit]);
        let shown: Vec<Curve> = spaces
            .iter()
            .zip(of_limit)
            .filter(|(space, _)| space.shown)
            .map(|(space, curve)| Curve { name: space.name(), ..curve.clone() })
            .collect();
        let svg = edf::svg(*limit_ms, &shown.iter().collect::<Vec<_>>());
        files.push((format!("edf-{limit_ms}.svg"), svg.map_err(Failure::failed)?));
    }
    let failed = |path: &Path, error| Failure::failed(format!("{}: {error}", path.display()));
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let write = |(name, text): (String, String)| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| failed(&path, error))?;
        Ok(path.display().to_string())
    };
    files.into_iter().map(write).collect()
}

impl SpaceRow {
    /// For people.
    fn name(&self) -> String {
        match &self.block {
            Some(block) => format!("{} ({block})", self.space),
            None => self.space.clone(),
        }
    }
}

fn report(
    hyperspace: &Hyperspace,
    explanation: &Explanation,
    spaces: Vec<SpaceRow>,
    files: Vec<String>,
) -> ExplainReport {
    let scored = &explanation.scored;
    let constraint = |(limit, score): (usize, &ConstraintScore)| {
        let least = explanation.least_support(limit);
        Constraint {
            row: score.into(),
            least_support: least.map(|least| least.1),
            least_support_stage: least.map(|least| hyperspace.stages[least.0].name.clone()),
        }
    };
    let choice = |stage: usize, candidate: usize, window: usize| Choice {
        block: hyperspace.candidates[candidate].block.clone(),
        candidate,
        window,
        widths: hyperspace.stages[stage].window_widths(window).to_vec(),
    };
    let stage = |(stage, alternatives): (usize, &Vec<Alternative>)| StageRow {
        stage: hyperspace.stages[stage].name.clone(),
        choice: choice(stage, scored.space.blocks[stage], scored.space.windows[stage]),
        support: explanation.support.iter().map(|limit| Some(limit.as_ref()?[stage])).collect(),
        alternatives: alternatives
            .iter()
            .map(|other| AlternativeRow {
                choice: choice(stage, other.block, other.window),
                score: other.score,
                difference: other.difference,
            })
            .collect(),
    };
    ExplainReport {
        space: scored.space.to_string(),
        score: scored.score.score,
        error_bound: explanation.error_bound,
        constraints: scored.score.constraints.iter().enumerate().map(constraint).collect(),
        stages: explanation.alternatives.iter().enumerate().map(stage).collect(),
        quantiles: QUANTILES,
        spaces,
        files,
    }
}
