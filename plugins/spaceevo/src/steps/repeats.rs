//! Supernets that are trained again with other seeds.

use spacewright_core::{
    random,
    study::{Artifact, FieldError, Section, Step, StepContext, StepError, StepNeeds, StudyContext},
};

use super::{
    distil::Distil,
    evolve::{Evolve, Evolved},
    rivals::{Contender, Contenders},
    teach::Teach,
    train::{PhaseReports, Supernet, supernets},
};
use crate::settings::{RepeatSettings, RivalSettings, TrainSettings};

/// The manual space that is repeated beside the best one.
const MOBILE: &str = "mobilenet-v2-res";

/// Trains the supernets of some of the compared spaces again, with other seeds.
pub struct TrainRepeats;

impl TrainRepeats {
    /// What a contender is with a training of another seed, from 1 on.
    fn repeated(contender: &Contender, seed: usize) -> Contender {
        let again = Contender { seed, ..contender.clone() };
        Contender { supernet: Artifact::of_task(Self::NAME, again.label()), ..again }
    }
}

/// The contenders that are trained again, each with each further seed.
pub(crate) fn repeats(
    contenders: &Contenders,
    settings: &RepeatSettings,
    evolved: &Evolved,
) -> Result<Vec<Contender>, FieldError> {
    let repeated: Vec<&Contender> = match settings.spaces.as_slice() {
        [] => {
            let score = |rival: &&Contender| {
                let scored = evolved.uniform.iter().find(|scored| scored.space == rival.space);
                scored.map_or(f64::NEG_INFINITY, |scored| scored.score.score)
            };
            let better = |a: &&Contender, b: &&Contender| score(a).total_cmp(&score(b));
            let best = contenders.manual.iter().max_by(better);
            let mobile = contenders.manual.iter().find(|rival| rival.name == MOBILE);
            let is_other = |mobile: &&Contender| best.is_none_or(|best| best.name != mobile.name);
            best.into_iter().chain(mobile.filter(is_other)).collect()
        }
        names => {
            let all = contenders.all();
            let left_out = |name: &String| contenders.left_out.iter().any(|out| out.name == *name);
            let mut named = Vec::new();
            for name in names.iter().filter(|name| !left_out(name)) {
                let rival = all[1..].iter().find(|rival| rival.name == *name);
                named.push(*rival.ok_or_else(|| unknown(name, &all[1..]))?);
            }
            named
        }
    };
    let again = |seed| {
        let all = [&contenders.found].into_iter().chain(repeated.iter().copied());
        all.map(move |contender| TrainRepeats::repeated(contender, seed))
    };
    Ok((1..settings.seeds).flat_map(again).collect())
}

fn unknown(name: &str, known: &[&Contender]) -> FieldError {
    let known: Vec<&str> = known.iter().map(|contender| contender.name.as_str()).collect();
    let reason = format!("no space `{name}` is compared");
    let hint = format!("compared are {}: see `manual` of [rivals]", known.join(", "));
    FieldError::refused(RepeatSettings::NAME, "spaces", reason, hint)
}

impl Step for TrainRepeats {
    const NAME: &'static str = "train-repeats";
    const SUMMARY: &'static str = "train supernets of compared spaces again, with other seeds";
    const READS: &'static [&'static str] = &[Teach::NAME, Distil::NAME, Evolve::NAME];
    const NEEDS: StepNeeds = StepNeeds::TRAINING;
    const EXTRA: bool = true;

    type Settings = (TrainSettings, RivalSettings, RepeatSettings);
    type Output = Vec<PhaseReports>;

    fn check(
        &self,
        _: &StudyContext,
        (_, rivals, settings): &Self::Settings,
    ) -> Result<(), FieldError> {
        let known = |name: &&String| *name == "random" || rivals.manual.contains(name);
        match settings.spaces.iter().find(|name| !known(name)) {
            None => Ok(()),
            Some(name) => {
                let reason = format!("`{name}` is none of the spaces of [rivals]");
                let hint = format!("name some of: random, {}", rivals.manual.join(", "));
                Err(FieldError::refused(RepeatSettings::NAME, "spaces", reason, hint))
            }
        }
    }

    fn run(
        &self,
        context: &dyn StepContext,
        (train, rivals, settings): Self::Settings,
    ) -> Result<Vec<PhaseReports>, StepError> {
        let contenders = Contenders::of(context, &rivals)?;
        let evolved = context.get(&Evolve::OUTPUT)?;
        let again = |Contender { space, seed, supernet, .. }: &Contender| Supernet {
            task: supernet.task().to_owned(),
            space: space.clone(),
            seed: random::seed(context.study().seed, &["repeat", &seed.to_string()]),
        };
        // Seed by seed: what is there of an unfinished comparison says something of all spaces.
        let repeats = repeats(&contenders, &settings, &evolved)?;
        supernets(context, &train, &repeats.iter().map(again).collect::<Vec<_>>())
    }
}
