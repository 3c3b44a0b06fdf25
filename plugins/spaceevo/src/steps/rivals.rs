//! The spaces that the found one is compared with, and their supernets.

use serde::{Deserialize, Serialize};
use spacewright_core::{
    method::{Parts, StepContext, StepError},
    random,
    search::ScoredSpace,
    space::Space,
};

use super::{evolve::Evolved, train};
use crate::settings::{self, RivalSettings};

/// The step that trains the random space.
pub const RANDOM: &str = "train-random";
/// The step that trains the manual spaces.
pub const MANUAL: &str = "train-manual";

/// Draws of a random space that differs from the others.
const TRIES: usize = 1000;

/// A space with a trained supernet.
#[derive(Debug, Clone)]
pub struct Contender {
    /// `found`, `random`, or what the study calls a manual space.
    pub name: String,
    pub space: Space,
    /// Artifact of its supernet.
    pub supernet: String,
}

/// A manual space that is not compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeftOut {
    pub name: String,
    pub reason: String,
}

/// All spaces that are compared.
pub struct Contenders {
    pub found: Contender,
    pub random: Contender,
    pub manual: Vec<Contender>,
    pub left_out: Vec<LeftOut>,
}

impl Contenders {
    /// Those of a step that reads `evolve` and the section `[rivals]`.
    pub fn of(context: &dyn StepContext) -> Result<Self, StepError> {
        let settings: RivalSettings = settings::of(context, "rivals")?;
        let evolved: Evolved = super::result(context, "evolve/space")?;
        Self::new(context.parts(), &settings, &evolved.best[0].space, &evolved.uniform)
    }

    fn new(
        study: &Parts,
        settings: &RivalSettings,
        found: &Space,
        uniform: &[ScoredSpace],
    ) -> Result<Self, StepError> {
        let contender = |name: &str, space: &Space, supernet: String| Contender {
            name: name.to_owned(),
            space: space.clone(),
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
                None => manual
                    .extend(space.map(|space| contender(name, &space, format!("{MANUAL}/{name}")))),
            }
        }
        let random = match settings.random.as_str() {
            "" => drawn(study, found, &manual)?,
            encoding => Space::parse(encoding, &study.hyperspace)
                .map_err(|error| StepError::Failed(error.to_string()))?,
        };
        Ok(Self {
            found: contender("found", found, "train/supernet".into()),
            random: contender("random", &random, format!("{RANDOM}/supernet")),
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
fn written(study: &Parts, name: &str, uniform: &[ScoredSpace]) -> Option<Space> {
    let hyperspace = &study.hyperspace;
    match hyperspace.candidates.iter().position(|candidate| candidate.block == name) {
        Some(index) => {
            let of_block = |space: &Space| space.blocks.iter().all(|&block| block == index);
            uniform.iter().map(|scored| &scored.space).find(|space| of_block(space)).cloned()
        }
        None => Space::parse(name, hyperspace).ok(),
    }
}

/// A space drawn uniformly that is none of the others.
fn drawn(study: &Parts, found: &Space, manual: &[Contender]) -> Result<Space, StepError> {
    let mut rng = random::generator(study.seed, &["rivals", "random"]);
    let new = |space: &Space| space != found && manual.iter().all(|known| known.space != *space);
    let mut draws = (0..TRIES).map(|_| Space::random(&study.hyperspace, &mut rng));
    draws.find(new).ok_or_else(|| StepError::Study {
        message: format!("`{}` has no space beside those that are compared", study.hyperspace.name),
        hint: "leave some out of `manual` of [rivals]".into(),
    })
}

/// Whether all names mean something.
pub fn check(study: &Parts, settings: &RivalSettings) -> Result<(), StepError> {
    let hyperspace = &study.hyperspace;
    let wrong = |message: String| StepError::Study {
        message: format!("[rivals]: {message}"),
        hint: "give encodings of spaces, such as those that `spacewright space sample` draws"
            .into(),
    };
    if !settings.random.is_empty() {
        Space::parse(&settings.random, hyperspace).map_err(|error| wrong(error.to_string()))?;
    }
    for name in &settings.manual {
        if study.operators.block_type(name).is_err() {
            Space::parse(name, hyperspace)
                .map_err(|error| wrong(format!("no block type, and no space: {error}")))?;
        }
    }
    Ok(())
}

pub fn train_random(context: &dyn StepContext) -> Result<(), StepError> {
    let Contender { space, .. } = Contenders::of(context)?.random;
    context.say(&format!("random space: {space}"));
    train::supernets(context, &[("supernet", &space)])
}

pub fn train_manual(context: &dyn StepContext) -> Result<(), StepError> {
    let contenders = Contenders::of(context)?;
    for LeftOut { name, reason } in &contenders.left_out {
        context.say(&format!("`{name}` is left out: {reason}"));
    }
    let spaces: Vec<(&str, &Space)> =
        contenders.manual.iter().map(|rival| (rival.name.as_str(), &rival.space)).collect();
    train::supernets(context, &spaces)
}
