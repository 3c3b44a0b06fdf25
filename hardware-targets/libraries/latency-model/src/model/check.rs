//! That the content of a model makes sense.

use super::{
    FORMAT, MAX_DEPTH, MAX_EDGES, Model, ModelError, Parameters, Quantiles, Tree, VERSION,
};
use crate::features::Feature;

/// In ms; no product with an amount of work leaves the range of numbers.
const LARGEST_COEFFICIENT: f64 = 1e9;

type Fault = (String, String);

fn fault(place: impl Into<String>, reason: impl Into<String>) -> Result<(), Fault> {
    Err((place.into(), reason.into()))
}

impl Model {
    /// That all numbers are finite and consistent, so that every prediction is finite and
    /// positive.
    pub fn check(&self) -> Result<(), ModelError> {
        if self.format != FORMAT {
            return Err(ModelError::Format(self.format.clone()));
        }
        if self.version != VERSION {
            return Err(ModelError::Version(self.version));
        }
        let checks = self.check_statements().and_then(|()| self.parameters.check());
        checks.map_err(|(place, reason)| ModelError::Content {
            name: self.name.clone(),
            place,
            reason,
        })
    }

    fn check_statements(&self) -> Result<(), Fault> {
        for held_out in &self.held_out {
            held_out.accuracy.check().or_else(|error| {
                fault(format!("held_out `{}`", held_out.how), error.to_string())
            })?;
        }
        check_quantiles("intervals.all", &self.intervals.all)?;
        for (group, quantiles) in &self.intervals.dominated_by {
            check_quantiles(&format!("intervals.dominated_by, {group:?}"), quantiles)?;
        }
        Ok(())
    }
}

fn check_quantiles(place: &str, quantiles: &Quantiles) -> Result<(), Fault> {
    let values = quantiles.values();
    if !values.iter().all(|value| value.is_finite() && value.abs() < 100.0) {
        return fault(place, "quantiles must be finite logarithms");
    }
    if !values.is_sorted() {
        return fault(place, "quantiles must ascend");
    }
    Ok(())
}

impl Parameters {
    pub(crate) fn check(&self) -> Result<(), (String, String)> {
        let coefficients = self.physical.coefficients.as_flattened();
        if !coefficients.iter().all(|ms| (0.0..=LARGEST_COEFFICIENT).contains(ms)) {
            return fault("physical", "coefficients must be numbers from 0 to 1e9");
        }
        let features: Vec<Feature> = self.edges.iter().map(|edges| edges.feature).collect();
        if features != Feature::ALL {
            return fault("edges", format!("needs the features {:?}", Feature::ALL));
        }
        for of in &self.edges {
            let place = format!("edges of {:?}", of.feature);
            if of.edges.len() > MAX_EDGES {
                return fault(place, format!("{}, at most {MAX_EDGES}", of.edges.len()));
            }
            if !of.edges.iter().all(|edge| edge.is_finite()) {
                return fault(place, "must be finite");
            }
            if !of.edges.is_sorted_by(|a, b| a < b) {
                return fault(place, "must ascend");
            }
        }
        for (index, tree) in self.trees.iter().enumerate() {
            self.check_tree(tree).or_else(|reason| fault(format!("tree {index}"), reason))?;
        }
        Ok(())
    }

    fn check_tree(&self, tree: &Tree) -> Result<(), String> {
        let depth = tree.splits.len();
        if depth > MAX_DEPTH {
            return Err(format!("{depth} levels, at most {MAX_DEPTH}"));
        }
        if tree.leaves.len() != 1 << depth {
            return Err(format!(
                "{depth} levels need {} leaves, not {}",
                1 << depth,
                tree.leaves.len()
            ));
        }
        for (feature, edge) in &tree.splits {
            let edges = self.edges.get(usize::from(*feature)).map_or(0, |of| of.edges.len());
            if usize::from(*edge) >= edges {
                return Err(format!("there is no edge {edge} of feature {feature}"));
            }
        }
        if !tree.leaves.iter().all(|leaf| leaf.abs() <= 1.0) {
            return Err("leaves must be numbers from -1 to 1".into());
        }
        Ok(())
    }
}
