//! Fitted models as a latency source.

use spacewright_core::latency::{
    GraphColumns, HeldOut, Latency, LatencyError, LatencyQuery, LatencySource, Precision,
};

use crate::{
    model::{Model, ModelError},
    predict::Predictor,
};

/// Models of one piece of hardware, one for each precision that was measured.
#[derive(Debug, Clone)]
pub struct Fitted {
    name: String,
    fingerprint: String,
    predictors: Vec<Predictor>,
}

impl Fitted {
    /// A source of this name. The models must be of different precisions; there must be one.
    pub fn new(name: &str, models: Vec<Model>) -> Result<Self, ModelError> {
        let wrong = |reason: String| ModelError::Content {
            name: name.to_owned(),
            place: "precision".into(),
            reason,
        };
        if models.is_empty() {
            return Err(wrong("there is no model".into()));
        }
        let mut fingerprints = Vec::with_capacity(models.len());
        let mut predictors = Vec::<Predictor>::with_capacity(models.len());
        for model in models {
            let Model { precision, fingerprint, .. } = &model;
            if predictors.iter().any(|other| other.model().precision == *precision) {
                return Err(wrong(format!("there are two models of {}", precision.name())));
            }
            let hash = model.content_hash()?;
            fingerprints.push(format!("{fingerprint}; fitted {} {hash}", precision.name()));
            predictors.push(Predictor::new(model)?);
        }
        Ok(Self { name: name.to_owned(), fingerprint: fingerprints.join("; "), predictors })
    }

    /// A source from the JSON of models, named like the first.
    pub fn from_json(texts: &[&str]) -> Result<Self, ModelError> {
        let models = texts.iter().map(|text| Model::from_json(text)).collect::<Result<Vec<_>, _>>();
        let models = models?;
        let name = models.first().map(|model| model.name.clone()).unwrap_or_default();
        Self::new(&name, models)
    }

    /// The errors that the models state, with the precision of each.
    pub fn held_out(&self) -> Vec<HeldOut> {
        let of_model = |model: &Model| {
            let precision = model.precision.name();
            let named = move |held_out: &HeldOut| HeldOut {
                how: format!("{precision}, {}", held_out.how),
                accuracy: held_out.accuracy,
            };
            model.held_out.iter().map(named).collect::<Vec<_>>()
        };
        self.predictors.iter().flat_map(|predictor| of_model(predictor.model())).collect()
    }

    /// What predicts at a precision.
    pub fn predictor(&self, precision: Precision) -> Option<&Predictor> {
        self.predictors.iter().find(|predictor| predictor.model().precision == precision)
    }
}

impl LatencySource for Fitted {
    fn name(&self) -> &str {
        &self.name
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn precisions(&self) -> Vec<Precision> {
        self.predictors.iter().map(|predictor| predictor.model().precision).collect()
    }

    fn latencies(&self, queries: &[LatencyQuery]) -> Result<Vec<Latency>, LatencyError> {
        self.latencies_of(&GraphColumns::of(queries)?)
    }

    fn latencies_of(&self, graphs: &GraphColumns) -> Result<Vec<Latency>, LatencyError> {
        let count = graphs.first_node.len();
        let asked: Vec<Option<Precision>> =
            (0..count).map(|graph| graphs.asked(graph).map(|(precision, _)| precision)).collect();
        let mut latencies = vec![None; count];
        for predictor in &self.predictors {
            let precision = Some(predictor.model().precision);
            if !asked.contains(&precision) {
                continue;
            }
            let predictions = predictor.columns(graphs);
            let predictions = predictions.map_err(|e| LatencyError::new(e.to_string()))?;
            for (graph, prediction) in predictions.into_iter().enumerate() {
                if asked[graph] == precision {
                    latencies[graph] = Some(prediction.latency());
                }
            }
        }
        let known = |(graph, latency): (usize, Option<Latency>)| {
            latency.ok_or_else(|| {
                let asked = asked[graph].map_or("an unknown precision", Precision::name);
                let known: Vec<&str> = self.precisions().into_iter().map(Precision::name).collect();
                let (name, known) = (&self.name, known.join(" and "));
                let reason = format!("`{name}` was fitted on {known} only, not on {asked}");
                LatencyError::new(reason)
            })
        };
        latencies.into_iter().enumerate().map(known).collect()
    }
}

#[cfg(test)]
mod tests {
    use spacewright_core::{graph::Graph, latency::Position};

    use super::*;
    use crate::model::tests::model;

    fn of(precision: Precision, name: &str) -> Model {
        let mut model = model(2, Vec::new());
        model.precision = precision;
        model.name = name.into();
        model.parameters.physical.coefficients[0][0] =
            if precision == Precision::Fp32 { 2.0 } else { 1.0 };
        model
    }

    fn query(precision: Precision) -> LatencyQuery {
        let graph: Graph = "input 3x5x5\n\
            c = conv2d(input) out=3 kernel=1 stride=1 pad=0,0,0,0 groups=1 bias=false\noutput c"
            .parse()
            .unwrap();
        LatencyQuery { graph, precision, position: Position::Inside }
    }

    #[test]
    fn each_precision_has_its_own_model() {
        let models = Precision::ALL.map(|precision| of(precision, "both")).to_vec();
        let source = Fitted::new("both", models).unwrap();
        assert_eq!(source.precisions(), Precision::ALL);
        let queries = [Precision::Int8, Precision::Fp32, Precision::Int8].map(query);
        let ms: Vec<f64> =
            source.latencies(&queries).unwrap().iter().map(|latency| latency.ms).collect();
        assert_eq!(ms, [1.0, 2.0, 1.0]);
        assert!(source.latencies(&[]).unwrap().is_empty());
    }

    #[test]
    fn what_was_not_measured_is_refused() {
        let source = Fitted::new("one", vec![of(Precision::Int8, "one")]).unwrap();
        let error = source.latencies(&[query(Precision::Fp32)]).unwrap_err();
        assert_eq!(error.to_string(), "`one` was fitted on int8 only, not on fp32");
        assert!(Fitted::new("none", Vec::new()).is_err());
        let twice = vec![of(Precision::Int8, "one"), of(Precision::Int8, "two")];
        let error = Fitted::new("one", twice).unwrap_err().to_string();
        assert_eq!(error, "latency model `one`, precision: there are two models of int8");
    }

    #[test]
    fn other_models_have_other_fingerprints() {
        let source = |scale: f64| {
            let mut model = of(Precision::Int8, "one");
            model.parameters.physical.coefficients[0][0] = scale;
            Fitted::new("one", vec![model]).unwrap().fingerprint()
        };
        assert_ne!(source(1.0), source(2.0));
    }
}
