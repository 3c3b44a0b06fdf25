//! From values to places.

/// Values to pixels, in proportion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// The first value.
    pub low: f64,
    /// The last value.
    pub high: f64,
    /// The place of the first value.
    pub from: f64,
    /// The place of the last value.
    pub to: f64,
}

impl Scale {
    /// The place of a value.
    pub fn place(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }
}

/// One direction of a plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What it shows, with the unit.
    pub label: String,
    /// The smallest value.
    pub low: f64,
    /// The largest value.
    pub high: f64,
    /// Where labels stand.
    pub ticks: Vec<f64>,
    /// What values are multiplied by in labels, and their digits behind the point.
    factor: f64,
    digits: usize,
    /// Names instead of numbers, by tick.
    names: Vec<String>,
}

impl Axis {
    /// For values, with a margin on both sides; what is not finite is left out.
    pub fn around(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = range(values);
        let margin = if high > low { 0.06 * (high - low) } else { 0.1 * high.abs().max(1e-6) };
        // What cannot be negative is not shown as if it could.
        let low = if low >= 0.0 { (low - margin).max(0.0) } else { low - margin };
        Self::between(label, low, high + margin)
    }

    /// From nought to a little above the largest value.
    pub fn from_zero(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let (_, high) = range(values);
        Self::between(label, 0.0, if high > 0.0 { 1.04 * high } else { 1.0 })
    }

    /// Between two values, of which the first is smaller.
    pub fn between(label: &str, low: f64, high: f64) -> Self {
        let (step, digits) = step((high - low) / 6.5);
        let first = (low / step).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        let ticks = (first..=last).map(|count| count as f64 * step).collect();
        Self { label: label.to_owned(), low, high, ticks, factor: 1.0, digits, names: Vec::new() }
    }

    /// Labels in percent, for values that are shares.
    pub fn in_percent(self) -> Self {
        Self { factor: 100.0, digits: self.digits.saturating_sub(2), ..self }
    }

    /// For the positions of names.
    pub fn named(label: &str, names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let ticks = (0..names.len()).map(|position| position as f64).collect();
        let (low, high) = (-0.4, names.len() as f64 - 0.6);
        Self { label: label.to_owned(), low, high, ticks, factor: 1.0, digits: 0, names }
    }

    /// A label.
    pub fn tick(&self, value: f64) -> String {
        if let Some(name) = self.names.get(value as usize) {
            return name.clone();
        }
        let (value, digits) = (self.factor * value, self.digits);
        format!("{value:.digits$}").replace('-', "−")
    }

    /// With places.
    pub fn scale(&self, from: f64, to: f64) -> Scale {
        Scale { low: self.low, high: self.high, from, to }
    }
}

/// The smallest and the largest value.
fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let finite = values.into_iter().filter(|value| value.is_finite());
    let (low, high) =
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high { (0.0, 1.0) } else { (low, high) }
}

/// The next of 1, 2, 5, 10, … times a power of ten, and the digits that it needs behind the point.
fn step(least: f64) -> (f64, usize) {
    let power = least.log10().floor();
    let base = 10f64.powf(power);
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * base >= least * (1.0 - 1e-9));
    let digits = if factor.is_some() { -power } else { -power - 1.0 };
    (factor.unwrap_or(10.0) * base, digits.max(0.0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|tick| axis.tick(*tick)).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            labels(&Axis::between("", 0.0, 1.0)),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(labels(&Axis::between("", -7.0, 42.0)), ["0", "10", "20", "30", "40"]);
        assert_eq!(labels(&Axis::between("", 0.071, 0.112)), ["0.08", "0.09", "0.10", "0.11"]);
    }

    #[test]
    fn shares_are_labelled_in_percent() {
        assert_eq!(
            labels(&Axis::between("", 0.921, 0.943).in_percent()),
            ["92.5", "93.0", "93.5", "94.0"]
        );
        assert_eq!(
            labels(&Axis::between("", 0.0, 1.0).in_percent()),
            ["0", "20", "40", "60", "80", "100"]
        );
    }

    #[test]
    fn an_axis_holds_all_values() {
        let axis = Axis::around("", [2.0, f64::NAN, 3.0]);
        assert!(axis.low < 2.0 && axis.high > 3.0);
        for values in [vec![], vec![0.0], vec![f64::INFINITY], vec![-1.0]] {
            let axis = Axis::around("", values);
            assert!(axis.high > axis.low && axis.low.is_finite() && axis.ticks.len() < 20);
        }
    }

    #[test]
    fn a_scale_may_run_backwards() {
        let scale = Axis::between("", 0.0, 10.0).scale(100.0, 0.0);
        assert_eq!((scale.place(0.0), scale.place(10.0), scale.place(2.5)), (100.0, 0.0, 75.0));
    }
}
