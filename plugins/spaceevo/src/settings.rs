//! The method's sections of a study file, with their defaults and their documentation.

mod docs;

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use spacewright_core::{
    data::Augmentation,
    graph::ActivationKind,
    method::{StepContext, StepError},
    quality::Composition,
    train::{Guide, Phase},
};

pub use docs::sections;

/// A latency budget of the networks that are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Budget {
    /// A share of the hyperspace's subnets, from 0 to 1, is faster than the budget.
    Quantile(f64),
    /// Milliseconds.
    Ms(f64),
}

/// `[tables]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSettings {
    pub rows: usize,
}

/// `[measure]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasureSettings {
    pub budgets: Vec<Budget>,
    pub stem_rows: usize,
    pub subnets: usize,
    pub whole_networks: usize,
    pub also: Vec<String>,
}

/// `[teach]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeachSettings {
    pub block: String,
    pub activation: ActivationKind,
    pub config: IndexMap<String, f64>,
    pub stem_width: usize,
    pub weights: String,
    pub widths: Vec<usize>,
    pub depths: Vec<usize>,
    pub phase: Phase,
    pub augmentation: Augmentation,
    pub label_smoothing: f64,
    pub distil_images: usize,
    pub judge_images: usize,
}

/// `[distil]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistilSettings {
    pub fp32: Phase,
    pub int8: Phase,
    pub calibration_images: usize,
}

/// `[evolve]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvolveSettings {
    pub scorer: String,
    pub score: BTreeMap<String, Value>,
    pub strategy: String,
    pub strategy_options: BTreeMap<String, Value>,
    pub evaluations: usize,
    pub composition: Composition,
}

/// `[train]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSettings {
    pub fp32: Phase,
    pub int8: Phase,
    pub teacher_share: f64,
    pub guide: Guide,
    pub augmentation: Augmentation,
}

/// `[search]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchSettings {
    pub population: usize,
    pub generations: usize,
    pub slack: f64,
    pub calibration_images: usize,
    pub judge_images: usize,
}

/// `[export]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportSettings {
    pub calibration_images: usize,
    pub check_images: usize,
    pub post_training: String,
    pub formats: Vec<String>,
}

/// `[rivals]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RivalSettings {
    pub random: String,
    pub manual: Vec<String>,
}

/// `[proxy]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxySettings {
    pub subnets: usize,
    pub second_subnets: usize,
    pub fit_share: f64,
    pub calibration_images: usize,
    pub judge_images: usize,
}

/// `[spaces]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpacesSettings {
    pub subnets: usize,
    pub calibration_images: usize,
    pub judge_images: usize,
}

fn phase(steps: usize, batch: usize, learning_rate: f64, weight_decay: f64) -> Phase {
    Phase { steps, batch, learning_rate, weight_decay, warmup: 0.05, checkpoint_steps: 100 }
}

impl Default for TableSettings {
    fn default() -> Self {
        Self { rows: 4 }
    }
}

impl Default for MeasureSettings {
    fn default() -> Self {
        Self {
            budgets: vec![Budget::Quantile(0.1), Budget::Quantile(0.3), Budget::Quantile(0.6)],
            stem_rows: 16,
            subnets: 2000,
            whole_networks: 8,
            also: Vec::new(),
        }
    }
}

impl Default for TeachSettings {
    fn default() -> Self {
        Self {
            block: "fused-mbconv-res".into(),
            activation: ActivationKind::Relu,
            config: IndexMap::from([("kernel".into(), 3.0), ("expand".into(), 2.0)]),
            stem_width: 0,
            weights: String::new(),
            widths: Vec::new(),
            depths: Vec::new(),
            phase: phase(5000, 64, 0.1, 1e-4),
            augmentation: Augmentation { flip: true, shift: 1 },
            label_smoothing: 0.05,
            distil_images: 4096,
            judge_images: 1024,
        }
    }
}

impl Default for DistilSettings {
    fn default() -> Self {
        Self {
            fp32: phase(150, 64, 0.005, 0.0),
            int8: phase(75, 64, 0.001, 0.0),
            calibration_images: 256,
        }
    }
}

impl Default for EvolveSettings {
    fn default() -> Self {
        Self {
            scorer: "q-t".into(),
            score: BTreeMap::new(),
            strategy: "aging-evolution".into(),
            strategy_options: BTreeMap::new(),
            evaluations: 5000,
            composition: Composition::Consistent,
        }
    }
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            fp32: phase(1200, 64, 0.1, 1e-5),
            int8: phase(500, 64, 0.01, 1e-5),
            teacher_share: 0.5,
            guide: Guide::Largest,
            augmentation: Augmentation { flip: true, shift: 0 },
        }
    }
}

impl Default for SearchSettings {
    fn default() -> Self {
        Self {
            population: 32,
            generations: 4,
            slack: 0.15,
            calibration_images: 512,
            judge_images: 2000,
        }
    }
}

impl Default for ExportSettings {
    fn default() -> Self {
        Self {
            calibration_images: 2048,
            check_images: 8,
            post_training: "min-max".into(),
            formats: Vec::new(),
        }
    }
}

impl Default for RivalSettings {
    fn default() -> Self {
        let manual = ["mobilenet-v2-res", "mobilenet-v3-res", "resnet"].map(str::to_owned).into();
        Self { random: String::new(), manual }
    }
}

impl Default for ProxySettings {
    fn default() -> Self {
        Self {
            subnets: 60,
            second_subnets: 24,
            fit_share: 0.5,
            calibration_images: 512,
            judge_images: 5000,
        }
    }
}

impl Default for SpacesSettings {
    fn default() -> Self {
        Self { subnets: 50, calibration_images: 512, judge_images: 5000 }
    }
}

fn defaults(section: &str) -> Option<Value> {
    match section {
        "tables" => serde_json::to_value(TableSettings::default()),
        "measure" => serde_json::to_value(MeasureSettings::default()),
        "teach" => serde_json::to_value(TeachSettings::default()),
        "distil" => serde_json::to_value(DistilSettings::default()),
        "evolve" => serde_json::to_value(EvolveSettings::default()),
        "train" => serde_json::to_value(TrainSettings::default()),
        "search" => serde_json::to_value(SearchSettings::default()),
        "export" => serde_json::to_value(ExportSettings::default()),
        "rivals" => serde_json::to_value(RivalSettings::default()),
        "proxy" => serde_json::to_value(ProxySettings::default()),
        "spaces" => serde_json::to_value(SpacesSettings::default()),
        _ => return None,
    }
    .ok()
}

/// Lays what a study says over the defaults; tables are merged, everything else is replaced.
fn merged(default: Value, given: &Value) -> Value {
    match (default, given) {
        (Value::Object(mut all), Value::Object(given)) => {
            for (key, value) in given {
                let merged = match all.remove(key) {
                    Some(default) if key != "config" => merged(default, value),
                    _ => value.clone(),
                };
                all.insert(key.clone(), merged);
            }
            Value::Object(all)
        }
        (_, given) => given.clone(),
    }
}

/// Fills in the defaults of a section and checks it.
pub fn check(section: &str, given: &Value) -> Result<Value, StepError> {
    let unknown = || StepError::Study {
        message: format!("the method `spaceevo` has no section `[{section}]`"),
        hint: format!("its sections are {}", docs::names()),
    };
    let value = merged(defaults(section).ok_or_else(unknown)?, given);
    match section {
        "tables" => valid::<TableSettings>(section, &value, |s| positive(&[("rows", s.rows)])),
        "measure" => valid::<MeasureSettings>(section, &value, check_measure),
        "teach" => valid::<TeachSettings>(section, &value, |s| {
            check_phase("phase", &s.phase).or_else(|| {
                positive(&[("distil_images", s.distil_images), ("judge_images", s.judge_images)])
            })
        }),
        "distil" => valid::<DistilSettings>(section, &value, |s| {
            check_phase("fp32", &s.fp32)
                .or_else(|| check_phase("int8", &s.int8))
                .or_else(|| positive(&[("calibration_images", s.calibration_images)]))
        }),
        "evolve" => valid::<EvolveSettings>(section, &value, |s| {
            positive(&[("evaluations", s.evaluations)])
        }),
        "train" => valid::<TrainSettings>(section, &value, |s| {
            let shift = (s.augmentation.shift > 0).then(|| {
                "`augmentation.shift` must be 0: the teacher's logits are cached".to_owned()
            });
            share("teacher_share", s.teacher_share)
                .or(shift)
                .or_else(|| check_phase("fp32", &s.fp32))
                .or_else(|| check_phase("int8", &s.int8))
        }),
        "search" => valid::<SearchSettings>(section, &value, |s| {
            share("slack", s.slack).or_else(|| {
                positive(&[
                    ("population", s.population),
                    ("judge_images", s.judge_images),
                    ("calibration_images", s.calibration_images),
                ])
            })
        }),
        "rivals" => valid::<RivalSettings>(section, &value, |_| None),
        "proxy" => valid::<ProxySettings>(section, &value, |s| {
            share("fit_share", s.fit_share).or_else(|| {
                positive(&[
                    ("subnets", s.subnets),
                    ("second_subnets", s.second_subnets),
                    ("calibration_images", s.calibration_images),
                    ("judge_images", s.judge_images),
                ])
            })
        }),
        "spaces" => valid::<SpacesSettings>(section, &value, |s| {
            positive(&[
                ("subnets", s.subnets),
                ("calibration_images", s.calibration_images),
                ("judge_images", s.judge_images),
            ])
        }),
        _ => valid::<ExportSettings>(section, &value, |s| {
            positive(&[("calibration_images", s.calibration_images)])
        }),
    }?;
    Ok(value)
}

fn check_measure(settings: &MeasureSettings) -> Option<String> {
    if settings.budgets.is_empty() {
        return Some("`budgets` is empty: give at least one, such as { quantile = 0.2 }".into());
    }
    let in_ms = settings.budgets.iter().any(|budget| matches!(budget, Budget::Ms(_)));
    if in_ms && !settings.also.is_empty() {
        return Some("`budgets`: give quantiles, as `also` names other targets".into());
    }
    let wrong = |budget: &Budget| match budget {
        Budget::Quantile(q) if !(0.0..=1.0).contains(q) => {
            Some(format!("`budgets`: quantile = {q} is not between 0 and 1"))
        }
        Budget::Ms(ms) if !ms.is_finite() || *ms <= 0.0 => {
            Some(format!("`budgets`: ms = {ms} is not positive"))
        }
        _ => None,
    };
    settings
        .budgets
        .iter()
        .find_map(wrong)
        .or_else(|| positive(&[("stem_rows", settings.stem_rows), ("subnets", settings.subnets)]))
}

fn check_phase(name: &str, phase: &Phase) -> Option<String> {
    let fields = [("steps", phase.steps), ("batch", phase.batch)];
    if let Some((field, _)) = fields.iter().find(|(_, value)| *value == 0) {
        return Some(format!("`{name}.{field}` must be at least 1"));
    }
    let rate = phase.learning_rate;
    let wrong = !rate.is_finite() || rate <= 0.0;
    wrong.then(|| format!("`{name}.learning_rate` = {rate} is not positive"))
}

fn positive(fields: &[(&str, usize)]) -> Option<String> {
    let (name, _) = fields.iter().find(|(_, value)| *value == 0)?;
    Some(format!("`{name}` must be at least 1"))
}

fn share(name: &str, value: f64) -> Option<String> {
    (!(0.0..=1.0).contains(&value)).then(|| format!("`{name}` = {value} is not between 0 and 1"))
}

fn valid<T: DeserializeOwned>(
    section: &str,
    value: &Value,
    wrong: impl Fn(&T) -> Option<String>,
) -> Result<(), StepError> {
    let refuse = |reason: String| StepError::Study {
        message: format!("[{section}]: {reason}"),
        hint: format!("`spacewright study explain {section}` lists the fields and their defaults"),
    };
    let settings: T = serde_json::from_value(value.clone()).map_err(|e| refuse(e.to_string()))?;
    wrong(&settings).map_or(Ok(()), |reason| Err(refuse(reason)))
}

/// The settings of a section in a running step.
pub fn of<T: DeserializeOwned>(context: &dyn StepContext, section: &str) -> Result<T, StepError> {
    Ok(serde_json::from_value(context.settings(section)?)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_are_merged_with_their_defaults() {
        let value = check("distil", &json!({ "fp32": { "steps": 7 } })).unwrap();
        assert_eq!(value["fp32"]["steps"], 7);
        assert_eq!(value["fp32"]["batch"], 64);
    }

    #[test]
    fn wrong_fields_are_named() {
        let message = |section: &str, given: Value| check(section, &given).unwrap_err().to_string();
        assert!(message("train", json!({ "tecaher_share": 1 })).contains("`tecaher_share`"));
        assert!(
            message("search", json!({ "slack": 2.0 }))
                .contains("`slack` = 2 is not between 0 and 1")
        );
        assert!(message("measure", json!({ "budgets": [] })).contains("`budgets` is empty"));
        assert!(message("nonsense", json!({})).contains("no section `[nonsense]`"));
    }

    #[test]
    fn every_field_is_documented() {
        for section in sections() {
            let all = defaults(&section.name).unwrap();
            let fields: Vec<&String> = all.as_object().unwrap().keys().collect();
            let mut documented: Vec<&String> =
                section.fields.iter().map(|field| &field.name).collect();
            documented.sort();
            let mut fields = fields.clone();
            fields.sort();
            assert_eq!(documented, fields, "[{}]", section.name);
            assert!(check(&section.name, &json!({})).is_ok());
        }
    }
}
