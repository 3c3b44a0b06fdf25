//! The spaces that the found one is compared with, and their supernets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spacewright_core::{
    random,
    search::ScoredSpace,
    space::Space,
    study::{
        Artifact, FieldError, Section, Step, StepContext, StepError, StepNeeds, StudyContext,
        TaskField,
    },
};

use super::{
    distil::Distil,
    evolve::{Evolve, Evolved},
    teach::Teach,
    train::{PhaseReports, Supernet, Train, supernets},
};
use crate::{
    error::SpaceEvoError,
    settings::{RivalSettings, TrainSettings},
};

/// Draws of a random space that differs from the others: only in a hyperspace of a few spaces are so
/// many in vain.
const TRIES: usize = 1000;

/// A space with a trained supernet.
#[derive(Debug, Clone)]
pub(crate) struct Contender {
    /// `found`, `random`, or what the study calls a manual space.
    pub name: String,
    /// The space.
    pub space: Space,
    /// Which training of its supernet: 0 has the study's seed.
    pub training: usize,
    /// Its supernet.
    pub supernet: Artifact<PhaseReports>,
}

impl Contender {
    /// What tasks that have to do with this training are called after.
    pub fn label(&self) -> String {
        match self.training {
            0 => self.name.clone(),
            training => format!("{}-training-{training}", self.name),
        }
    }
}

/// A manual space, or a network from outside, that is not compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// What the study calls it.
    pub name: String,
    /// Why it is not compared.
    pub reason: String,
}

/// All spaces that are compared.
pub(crate) struct Contenders {
    /// The one that was found.
    pub found: Contender,
    /// One drawn at random.
    pub random: Contender,
    /// Those that a person would write down.
    pub manual: Vec<Contender>,
    /// Manual ones that are not compared.
    pub left_out: Vec<LeftOut>,
}

impl Contenders {
    /// Those of a step that reads what was found.
    pub fn of(context: &dyn StepContext, settings: &RivalSettings) -> Result<Self, StepError> {
        Self::new(context.study(), settings, &context.get(&Evolve::OUTPUT)?)
    }

    fn new(
        study: &StudyContext,
        settings: &RivalSettings,
        evolved: &Evolved,
    ) -> Result<Self, StepError> {
        let (found, uniform) = (evolved.space(), &evolved.uniform);
        let contender = |name: &str, space: &Space, supernet: Artifact<PhaseReports>| Contender {
            name: name.to_owned(),
            space: space.clone(),
            training: 0,
            supernet,
        };
        let mut manual: Vec<Contender> = Vec::new();
        let mut left_out = Vec::new();
        for name in &settings.manual {
            let twin = |space: &Space| {
                let other = manual.iter().find(|other| other.space == *space);
                let other = other.map(|other| format!("it is the same as `{}`", other.name));
                if space == found { Some("it is the space that was found".into()) } else { other }
            };
            let space = written(study, name, uniform);
            let missing = || format!("`{}` has no such block type", study.hyperspace.name);
            match space.as_ref().map_or_else(|| Some(missing()), twin) {
                Some(reason) => left_out.push(LeftOut { name: name.clone(), reason }),
                None => manual.extend(
                    space.map(|space| contender(name, &space, TrainManual::supernet(name))),
                ),
            }
        }
        let random = match settings.random.as_str() {
            "" => drawn(study, found, &manual)?,
            encoding => given(study, encoding, found, &manual)?,
        };
        Ok(Self {
            found: contender("found", found, Train::SUPERNET),
            random: contender("random", &random, TrainRandom::SUPERNET),
            manual,
            left_out,
        })
    }

    /// All of them: the found one, the random one, the manual ones.
    pub fn all(&self) -> Vec<&Contender> {
        [&self.found, &self.random].into_iter().chain(&self.manual).collect()
    }
}

/// The space that a person means: an encoding, or the best uniform space of a block type.
fn written(study: &StudyContext, name: &str, uniform: &[ScoredSpace]) -> Option<Space> {
    let hyperspace = &study.hyperspace;
    match hyperspace.candidates.iter().position(|candidate| candidate.block == name) {
        Some(index) => {
            let of_block = |space: &Space| space.blocks.iter().all(|&block| block == index);
            uniform.iter().map(|scored| &scored.space).find(|space| of_block(space)).cloned()
        }
        None => Space::parse(name, hyperspace).ok(),
    }
}

/// The random space that the study gives, which is none of the others.
fn given(
    study: &StudyContext,
    encoding: &str,
    found: &Space,
    manual: &[Contender],
) -> Result<Space, StepError> {
    let space = Space::parse(encoding, &study.hyperspace).map_err(SpaceEvoError::from)?;
    let twin = match manual.iter().find(|known| known.space == space) {
        _ if space == *found => "the space that was found".to_owned(),
        Some(known) => format!("the manual space `{}`", known.name),
        None => return Ok(space),
    };
    let hint = "give another one, or leave it empty: then one is drawn";
    Err(FieldError::refused(RivalSettings::NAME, "random", format!("{encoding} is {twin}"), hint)
        .into())
}

/// A space drawn uniformly that is none of the others.
fn drawn(study: &StudyContext, found: &Space, manual: &[Contender]) -> Result<Space, FieldError> {
    let mut rng = random::generator(study.seed, &["rivals", "random"]);
    let new = |space: &Space| space != found && manual.iter().all(|known| known.space != *space);
    let mut draws = (0..TRIES).map(|_| Space::random(&study.hyperspace, &mut rng));
    draws.find(new).ok_or_else(|| {
        let name = &study.hyperspace.name;
        let reason = format!("`{name}` has no space beside those that are compared");
        FieldError::refused(RivalSettings::NAME, "manual", reason, "leave some out")
    })
}

/// Whether all names mean something.
fn check(study: &StudyContext, settings: &RivalSettings) -> Result<(), FieldError> {
    const HINT: &str =
        "give encodings of spaces, such as those that `spacewright space sample` draws";
    let refuse = |field: &str, reason: String| {
        Err(FieldError::refused(RivalSettings::NAME, field, reason, HINT))
    };
    let parsed = |encoding: &str| Space::parse(encoding, &study.hyperspace);
    if !settings.random.is_empty()
        && let Err(error) = parsed(&settings.random)
    {
        return refuse("random", error.to_string());
    }
    for name in &settings.manual {
        if study.operators.block_type(name).is_err()
            && let Err(error) = parsed(name)
        {
            return refuse("manual", format!("no block type, and no space: {error}"));
        }
    }
    Ok(())
}

/// Trains the supernet of a random space.
pub struct TrainRandom;

impl TrainRandom {
    /// The supernet.
    pub const SUPERNET: Artifact<PhaseReports> = Artifact::new(Self::NAME, "supernet");
}

impl Step for TrainRandom {
    const NAME: &'static str = "train-random";
    const SUMMARY: &'static str = "train the supernet of a random space";
    const READS: &'static [&'static str] = &[Teach::NAME, Distil::NAME, Evolve::NAME];
    const NEEDS: StepNeeds = StepNeeds::TRAINING;
    const EXTRA: bool = true;

    type Settings = (TrainSettings, RivalSettings);
    type Output = PhaseReports;

    fn check(
        &self,
        study: &StudyContext,
        (_, settings): &Self::Settings,
    ) -> Result<(), FieldError> {
        check(study, settings)
    }

    fn run(
        &self,
        context: &dyn StepContext,
        (train, rivals): Self::Settings,
    ) -> Result<PhaseReports, StepError> {
        let Contender { space, .. } = Contenders::of(context, &rivals)?.random;
        context.say(&format!("random space: {space}"));
        let supernet = Supernet::new(Self::SUPERNET.task(), &space, context);
        Ok(supernets(context, &train, &[supernet])?.remove(0))
    }
}

/// Trains the supernets of the manual spaces.
pub struct TrainManual;

impl TrainManual {
    /// The supernet of the space that the study calls so.
    fn supernet(name: &str) -> Artifact<PhaseReports> {
        Artifact::of_task(Self::NAME, name.to_owned())
    }
}

impl Step for TrainManual {
    const NAME: &'static str = "train-manual";
    const SUMMARY: &'static str = "train the supernets of the manual spaces";
    const READS: &'static [&'static str] = &[Teach::NAME, Distil::NAME, Evolve::NAME];
    const NEEDS: StepNeeds = StepNeeds::TRAINING;
    const EXTRA: bool = true;

    // A name means the same space beside whatever others.
    const TASK_FIELDS: &'static [TaskField] = &[
        TaskField::new(RivalSettings::NAME, "manual"),
        TaskField::new(RivalSettings::NAME, "random"),
    ];

    type Settings = (TrainSettings, RivalSettings);
    /// In the order of the study, those that are left out apart.
    type Output = Vec<PhaseReports>;

    fn run(
        &self,
        context: &dyn StepContext,
        (train, rivals): Self::Settings,
    ) -> Result<Vec<PhaseReports>, StepError> {
        let contenders = Contenders::of(context, &rivals)?;
        for LeftOut { name, reason } in &contenders.left_out {
            context.say(&format!("`{name}` is left out: {reason}"));
        }
        let supernet = |rival: &Contender| Supernet::new(&rival.name, &rival.space, context);
        let manual: Vec<Supernet> = contenders.manual.iter().map(supernet).collect();
        supernets(context, &train, &manual)
    }
}
