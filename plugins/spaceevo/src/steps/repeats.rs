//! Supernets that are trained again with other seeds.

use spacewright_core::{
    random,
    study::{
        Artifact, FieldError, FlagValue, Section, Step, StepContext, StepError, StepFlag,
        StepNeeds, StudyContext, TaskField,
    },
};

use super::{
    distil::Distil,
    evolve::{Evolve, Evolved},
    rivals::{Contender, Contenders, LeftOut},
    teach::Teach,
    train::{PhaseReports, Supernet, supernets},
};
use crate::settings::{RepeatSettings, RivalSettings, TrainSettings};

/// The manual space that is repeated beside the best one.
const MOBILE: &str = "mobilenet-v2-res";

/// How often supernets are trained.
pub(super) const SEEDS: StepFlag = StepFlag {
    flag: "seeds",
    value: FlagValue::Number("N"),
    section: RepeatSettings::NAME,
    field: "seeds",
    help: "Times that the supernets of the space, and of those that [repeats] names, are trained",
};

/// Trains the supernets of some of the compared spaces again, with other seeds.
pub struct TrainRepeats;

impl TrainRepeats {
    /// What a contender is with another training of its supernet, from 1 on.
    fn repeated(contender: &Contender, training: usize) -> Contender {
        let again = Contender { training, ..contender.clone() };
        Contender { supernet: Artifact::of_task(Self::NAME, again.label()), ..again }
    }
}

/// The contenders that are trained again, once for each further seed.
pub(crate) fn repeats(
    contenders: &Contenders,
    settings: &RepeatSettings,
    evolved: &Evolved,
) -> Vec<Contender> {
    let repeated: Vec<&Contender> = match settings.spaces.as_slice() {
        [] => {
            let score = |rival: &&Contender| {
                let scored = evolved.uniform.iter().find(|scored| scored.space == rival.space);
                scored.map_or(f64::NEG_INFINITY, |scored| scored.score.score)
            };
            let better = |a: &&Contender, b: &&Contender| score(a).total_cmp(&score(b));
            // Of equal ones the first, as the study names them.
            let best = contenders.manual.iter().rev().max_by(better);
            let mobile = contenders.manual.iter().find(|rival| rival.name == MOBILE);
            let is_other = |mobile: &&Contender| best.is_none_or(|best| best.name != mobile.name);
            best.into_iter().chain(mobile.filter(is_other)).collect()
        }
        names => {
            let mut rivals = contenders.all().split_off(1);
            rivals.retain(|rival| names.contains(&rival.name));
            rivals
        }
    };
    let again = |training| {
        let all = [&contenders.found].into_iter().chain(repeated.iter().copied());
        all.map(move |contender| TrainRepeats::repeated(contender, training))
    };
    (1..settings.seeds).flat_map(again).collect()
}

impl Step for TrainRepeats {
    const NAME: &'static str = "train-repeats";
    const SUMMARY: &'static str = "train supernets of compared spaces again, with other seeds";
    const READS: &'static [&'static str] = &[Teach::NAME, Distil::NAME, Evolve::NAME];
    const NEEDS: StepNeeds = StepNeeds::TRAINING;
    const EXTRA: bool = true;
    const FLAGS: &'static [StepFlag] = &[SEEDS];
    const TASK_FIELDS: &'static [TaskField] = &[
        TaskField::new(RepeatSettings::NAME, "seeds"),
        TaskField::new(RepeatSettings::NAME, "spaces"),
    ];

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
        let again = |Contender { space, training, supernet, .. }: &Contender| Supernet {
            task: supernet.task().to_owned(),
            space: space.clone(),
            seed: random::seed(context.study().seed, &["repeat", &training.to_string()]),
        };
        for LeftOut { name, reason } in &contenders.left_out {
            if settings.spaces.contains(name) {
                context.say(&format!("`{name}` is not trained again: {reason}"));
            }
        }
        let repeats = repeats(&contenders, &settings, &evolved);
        if repeats.is_empty() {
            context.say("nothing is trained again: `seeds` of [repeats] is 1");
        }
        supernets(context, &train, &repeats.iter().map(again).collect::<Vec<_>>())
    }
}
