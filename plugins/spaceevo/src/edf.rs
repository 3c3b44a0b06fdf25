//! Error-distribution functions (Radosavovic et al., "On Network Design Spaces for Visual
//! Recognition", ICCV 2019): which share of a space's subnets has at most some loss.

use rayon::prelude::*;
use spacewright_core::{
    score::{Analysis, ScoreError},
    space::Space,
};

use spacewright_plot::PlotError;

use crate::plot::{self, Joined, Panel};

/// Shares of the feasible subnets at which spaces are compared.
pub const QUANTILES: [f64; 5] = [1e-4, 1e-3, 1e-2, 0.1, 0.5];
/// Points that a curve is made of, at most.
const POINTS: usize = 512;
/// Shares of all subnets between which the best of them are plotted.
const BEST: [f64; 2] = [1e-6, 1e-2];

/// The error-distribution function of a space's feasible subnets under one latency limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Edf {
    /// Summed losses, rising, each with the share of all subnets that are below, half of the
    /// point's own included.
    points: Vec<(f64, f64)>,
    feasible: f64,
}

impl Edf {
    /// Of summed losses, rising, with their shares of all subnets.
    pub fn new(distribution: &[(f64, f64)]) -> Self {
        let mut below = 0.0;
        let mut points: Vec<(f64, f64)> = Vec::new();
        for (loss, share) in thinned(distribution) {
            let middle = below + share / 2.0;
            // Shares on a grid may be negative by rounding.
            if middle > points.last().map_or(0.0, |last| last.1) {
                points.push((loss, middle));
            }
            below += share;
        }
        Self { points, feasible: below.max(0.0) }
    }

    /// Share of all subnets that are feasible.
    pub fn feasible(&self) -> f64 {
        self.feasible
    }

    /// The loss that this share of the feasible subnets stays below, between points as shares grow
    /// exponentially; `None` where nothing is feasible.
    pub fn loss_at(&self, share: f64) -> Option<f64> {
        let wanted = share * self.feasible;
        let after = self.points.partition_point(|point| point.1 < wanted);
        let Some(&(loss, above)) = self.points.get(after) else {
            return Some(self.points.last()?.0);
        };
        let Some(before) = after.checked_sub(1) else { return Some(loss) };
        let (lower, below) = self.points[before];
        Some(lower + (loss - lower) * (wanted / below).ln() / (above / below).ln())
    }
}

/// At most [`POINTS`] points: neighbours are put together at their mean.
fn thinned(distribution: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let (Some(first), Some(last)) = (distribution.first(), distribution.last()) else {
        return Vec::new();
    };
    if distribution.len() <= POINTS {
        return distribution.to_vec();
    }
    let width = ((last.0 - first.0) / (POINTS - 1) as f64).max(f64::MIN_POSITIVE);
    let bin = |loss: f64| ((loss - first.0) / width) as usize;
    let together = |points: &[(f64, f64)]| {
        let share: f64 = points.iter().map(|point| point.1).sum();
        let sum: f64 = points.iter().map(|(loss, share)| loss * share).sum();
        (if share > 0.0 { sum / share } else { points[0].0 }, share)
    };
    distribution.chunk_by(|a, b| bin(a.0) == bin(b.0)).map(together).collect()
}

/// The function of one space under one limit, by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// Name of the space.
    pub name: String,
    /// The latency limit.
    pub limit_ms: f64,
    /// The function.
    pub edf: Edf,
}

/// The functions of spaces under each limit, by space and then by limit.
pub fn curves(
    analysis: &dyn Analysis,
    spaces: &[(String, Space)],
    limits_ms: &[f64],
) -> Result<Vec<Curve>, ScoreError> {
    let under = |(name, space): &(String, Space)| {
        let curve = |(limit, limit_ms): (usize, &f64)| {
            let edf = Edf::new(&analysis.distribution(space, limit)?);
            Ok(Curve { name: name.clone(), limit_ms: *limit_ms, edf })
        };
        limits_ms.iter().enumerate().map(curve).collect::<Result<Vec<_>, _>>()
    };
    let by_space: Vec<Vec<Curve>> = spaces.par_iter().map(under).collect::<Result<_, _>>()?;
    Ok(by_space.concat())
}

/// All points as comma-separated values: space, limit in milliseconds, summed loss, share of the
/// feasible subnets with at most this loss, share of all subnets with at most this loss and within
/// the limit.
pub fn csv(curves: &[Curve]) -> String {
    let mut table = csv::Writer::from_writer(Vec::new());
    // Writing to memory does not fail.
    let _ = table.write_record(["space", "limit_ms", "loss", "share", "share_of_all"]);
    for Curve { name, limit_ms, edf } in curves {
        for (loss, below) in &edf.points {
            let _ = table.write_record([
                name.clone(),
                limit_ms.to_string(),
                format!("{loss:.6}"),
                format!("{:.6e}", below / edf.feasible),
                format!("{below:.6e}"),
            ]);
        }
    }
    let bytes = table.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

/// The functions of one limit as SVG: of the feasible subnets, and of the best of all subnets.
pub fn svg(limit_ms: f64, curves: &[&Curve]) -> Result<String, PlotError> {
    let names: Vec<String> = curves.iter().map(|curve| curve.name.clone()).collect();
    let feasible = |curve: &&Curve| {
        let share = |(loss, below): &(f64, f64)| (*loss, below / curve.edf.feasible);
        curve.edf.points.iter().map(share).collect()
    };
    let best = |curve: &&Curve| {
        let points = curve.edf.points.iter();
        let best = points.filter(|point| (BEST[0]..=BEST[1]).contains(&point.1));
        best.map(|(loss, below)| (*loss, below.log10())).collect()
    };
    let panel =
        |y, series| Panel { x: "summed loss of the stages", y, series, joined: Joined::Curve };
    let panels = [
        panel("share of the feasible subnets", curves.iter().map(feasible).collect()),
        panel("log10 of the share of all subnets", curves.iter().map(best).collect()),
    ];
    plot::svg(&format!("Error-distribution functions within {limit_ms} ms"), &names, &panels)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shares that grow by a factor of 1.5 per step of 0.1, up to 0.4 of all subnets.
    fn exponential() -> Vec<(f64, f64)> {
        let shares: Vec<f64> = (0..60).map(|step| 1.5_f64.powi(step)).collect();
        let sum: f64 = shares.iter().sum();
        (0..60).map(|step| (f64::from(step) / 10.0, 0.4 * shares[step as usize] / sum)).collect()
    }

    #[test]
    fn quantiles_lie_between_points() {
        let edf = Edf::new(&exponential());
        assert!((edf.feasible() - 0.4).abs() < 1e-12);
        // Half a bin below the edge that all are below.
        let per_loss = 1.5_f64.ln() / 0.1;
        for share in [1e-6, 1e-4, 0.01, 0.4] {
            let exact = 5.95 + f64::ln(share) / per_loss;
            let found = edf.loss_at(share).unwrap();
            assert!((found - exact).abs() < 0.006, "{share}: {found}, not {exact}");
        }
        assert_eq!(edf.loss_at(1.0), Some(5.9));
        assert_eq!(edf.loss_at(0.0), Some(0.0));
        assert_eq!(Edf::new(&[]).loss_at(0.5), None);
    }

    #[test]
    fn single_subnets_are_put_together() {
        let many: Vec<(f64, f64)> =
            (0..100_000).map(|at| (1.0 + f64::from(at) / 1e5, 5e-6)).collect();
        let edf = Edf::new(&many);
        assert!(edf.points.len() <= POINTS);
        assert!((edf.feasible() - 0.5).abs() < 1e-9);
        assert!((edf.loss_at(0.5).unwrap() - 1.5).abs() < 2e-3);
    }

    #[test]
    fn files_hold_every_curve() {
        let curve = |name: &str, factor: f64| {
            let points: Vec<(f64, f64)> =
                exponential().into_iter().map(|(loss, share)| (factor * loss, share)).collect();
            Curve { name: name.into(), limit_ms: 10.0, edf: Edf::new(&points) }
        };
        let curves = [curve("found", 1.0), curve("uniform", 1.1)];
        let csv = csv(&curves);
        assert_eq!(csv.lines().count(), 1 + 2 * 60);
        assert_eq!(csv.lines().filter(|line| line.starts_with("uniform,10,")).count(), 60);
        let svg = svg(10.0, &[&curves[0], &curves[1]]).unwrap();
        assert!(svg.contains("found") && svg.contains("uniform") && svg.contains("within 10 ms"));
        assert!(svg.matches("<polyline").count() >= 4);
    }
}
